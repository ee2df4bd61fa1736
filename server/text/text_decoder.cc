#include "server/text/text_decoder.h"

#include <algorithm>

#include "server/text/utf8.h"

namespace heed {

void TextDecoder::Append(std::string_view surface, std::size_t tokens) {
  const int begin = static_cast<int>(decoded_.text.size());
  decoded_.text += surface;
  const ByteRange range = TrimWhiteSpace(decoded_.text, {begin, static_cast<int>(decoded_.text.size())});
  if (range.begin == range.end) {  // stands where what follows does
    decoded_.ranges.insert(decoded_.ranges.end(), tokens, range);
    return;
  }
  decoded_.ranges.push_back(range);
  Settle();
  decoded_.ranges.insert(decoded_.ranges.end(), tokens - 1, range);
  settled_ = decoded_.ranges.size();
  end_ = range.end;
}

void TextDecoder::AppendSpecial() {
  const int at = static_cast<int>(decoded_.text.size());
  decoded_.ranges.push_back({at, at});
  Settle();
  end_ = at;
}

void TextDecoder::Finish() {
  Flush();
  std::fill(decoded_.ranges.begin() + static_cast<std::ptrdiff_t>(settled_), decoded_.ranges.end(),
            ByteRange{end_, end_});
  settled_ = decoded_.ranges.size();
}

void TextDecoder::Settle() {
  const int at = decoded_.ranges.back().begin;
  std::fill(decoded_.ranges.begin() + static_cast<std::ptrdiff_t>(settled_), decoded_.ranges.end() - 1,
            ByteRange{at, at});
  settled_ = decoded_.ranges.size();
}

}  // namespace heed
