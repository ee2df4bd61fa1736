#include "server/text/ranges.h"

#include <algorithm>
#include <cstddef>

#include "server/text/utf8.h"

namespace heed {
namespace {

// The end of the run without White_Space that starts at `range.begin`.
int EndOfRun(std::string_view text, ByteRange range) {
  while (range.begin < range.end) {
    const CodePoint c = CodePointAt(text, range.begin);
    if (IsWhiteSpace(c.value)) break;
    range.begin += c.size;
  }
  return range.begin;
}

}  // namespace

void CoverText(std::string_view text, std::vector<ByteRange>* ranges) {
  ByteRange* left = nullptr;
  for (ByteRange& range : *ranges) {
    range = TrimWhiteSpace(text, range);
    if (range.begin == range.end) continue;
    if (left != nullptr) left->end = EndOfRun(text, {left->end, range.begin});
    const ByteRange gap = TrimWhiteSpace(text, {left == nullptr ? 0 : left->end, range.begin});
    if (gap.begin < gap.end) range.begin = gap.begin;
    left = &range;
  }
  if (left == nullptr) return;
  const ByteRange rest = TrimWhiteSpace(text, {left->end, static_cast<int>(text.size())});
  if (rest.begin < rest.end) left->end = rest.end;
}

void PlaceEmptyRanges(const std::vector<bool>& movable, std::vector<ByteRange>* ranges) {
  std::vector<int> ends;  // of the text in the ranges so far
  int end = 0;
  for (const ByteRange& range : *ranges) {
    if (range.begin < range.end) end = range.end;
    ends.push_back(end);
  }
  int next = -1;
  for (std::size_t i = ranges->size(); i-- > 0;) {
    ByteRange& range = (*ranges)[i];
    if (movable[i] && range.begin == range.end) {
      range.begin = next >= 0 ? next : end;
      range.end = std::max(range.begin, ends[i]);
    }
    next = range.begin;
  }
}

}  // namespace heed
