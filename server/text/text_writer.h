// Puts decoded tokens together: which get a space between them, and where each lies in the text.
//
// Not thread-safe.
#pragma once

#include <string_view>
#include <vector>

#include "server/text/tokenizer.h"

namespace heed {

class TextWriter {
 public:
  // A token that is no text; its range is empty, where it stands.
  void WriteSpecial();
  // A token written as `surface`. A space is put before it unless it or the token before it joins; none at the ends of
  // the text. An empty surface still joins or parts its neighbours.
  void Write(std::string_view surface, bool join_left, bool join_right);

  DecodedText Finish() &&;

 private:
  DecodedText decoded_;
  std::vector<bool> movable_;  // may get another place when its range is empty
  bool started_ = false;
  bool joined_ = false;   // the last token joins what follows
  bool pending_ = false;  // a space stands between the text so far and the next surface that is not empty
};

}  // namespace heed
