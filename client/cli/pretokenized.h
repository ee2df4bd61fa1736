// A word on standard error where a sentence was sent to a model whose callers cut text into pieces: it took each word
// as a piece, and most likely did not know them.
//
// Not thread-safe.
#pragma once

#include <string>

#include "client/cli/console.h"
#include "client/cli/text_options.h"
#include "client/client.h"
#include "heed/v1/text.pb.h"

namespace heed::cli {

// Whether the model that read this segment may have been given words instead of its pieces: half of what it read is not
// spelt as its pieces are, or the last of it, where a sentence's end still hangs on its word. Only then is it worth to
// ask the server how the model's text is cut.
bool LooksUncut(const std::string& source, const v1::Segment& segment);

class PretokenizedNote {
 public:
  // All three outlive it.
  PretokenizedNote(Client* client, const TextOptions* options, const Console* console)
      : client_(client), options_(options), console_(console) {}

  // Looks at a text's result; says something at most once, and asks the server at most once.
  void Look(const std::string& source, const v1::TextResult& result, const v1::ModelIdentity& model);

 private:
  Client* const client_;
  const TextOptions* const options_;
  const Console* const console_;
  bool asked_ = false;
};

}  // namespace heed::cli
