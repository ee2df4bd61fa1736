#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "server/text/tokenizer.h"
#include "server/text/utf8.h"

namespace heed {

std::vector<WordSpan> GroupWords(std::string_view text, absl::Span<const ByteRange> ranges,
                                 absl::Span<const bool> special) {
  std::vector<WordSpan> words;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const ByteRange& range = ranges[i];
    if (special[i]) {
      words.push_back({.first = static_cast<int>(i), .count = 1, .range = {range.begin, range.begin}, .special = true});
      continue;
    }
    bool starts = words.empty() || words.back().special;
    if (!starts && range.begin > words.back().range.end) {
      const int gap = words.back().range.end;
      starts = ContainsWhiteSpace(text.substr(gap, range.begin - gap));
    }
    if (starts) {
      words.push_back({.first = static_cast<int>(i), .count = 1, .range = range, .special = false});
    } else {
      ++words.back().count;
      words.back().range.end = std::max(words.back().range.end, range.end);
    }
  }
  return words;
}

}  // namespace heed
