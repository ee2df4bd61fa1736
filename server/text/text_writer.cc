#include "server/text/text_writer.h"

#include <utility>

#include "server/text/ranges.h"
#include "server/text/utf8.h"

namespace heed {

void TextWriter::WriteSpecial() {
  const int at = static_cast<int>(decoded_.text.size());
  decoded_.ranges.push_back({at, at});
  movable_.push_back(false);
}

void TextWriter::Write(std::string_view surface, bool join_left, bool join_right) {
  if (started_ && !joined_ && !join_left) pending_ = true;
  started_ = true;
  joined_ = join_right;
  if (!surface.empty()) {
    if (pending_ && !decoded_.text.empty()) decoded_.text += ' ';
    pending_ = false;
  }
  const int begin = static_cast<int>(decoded_.text.size());
  decoded_.text += surface;
  decoded_.ranges.push_back(TrimWhiteSpace(decoded_.text, {begin, static_cast<int>(decoded_.text.size())}));
  movable_.push_back(true);
}

DecodedText TextWriter::Finish() && {
  PlaceEmptyRanges(movable_, &decoded_.ranges);
  return std::move(decoded_);
}

}  // namespace heed
