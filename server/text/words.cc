#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "server/text/scripts.h"
#include "server/text/tokenizer.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

// Where words of scripts without spaces begin, by ICU's dictionaries; asked with positions in order.
class Boundaries {
 public:
  explicit Boundaries(std::string_view text) : text_(text) {
    static const icu::BreakIterator* const rules = [] {
      UErrorCode error = U_ZERO_ERROR;
      return icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), error);  // null without ICU's data
    }();
    if (rules == nullptr || !AnyCodePoint(text, IsUnspacedScript)) return;
    iterator_.reset(rules->clone());
    UErrorCode error = U_ZERO_ERROR;
    utext_.adoptInstead(utext_openUTF8(nullptr, text.data(), static_cast<std::int64_t>(text.size()), &error));
    iterator_->setText(utext_.getAlias(), error);
    next_ = U_SUCCESS(error) ? iterator_->next() : icu::BreakIterator::DONE;
  }

  // Whether a word begins at byte `position`: a letter or digit there, a word's end before it, and one of the two of
  // such a script. Marks belong to the word before them, so what follows opening marks alone does not begin another.
  bool BeginsAt(int position) {
    if (iterator_ == nullptr) return false;
    while (next_ != icu::BreakIterator::DONE && next_ < position) next_ = iterator_->next();
    if (next_ != position || position <= 0 || static_cast<std::size_t>(position) >= text_.size()) return false;
    const char32_t after = CodePointAt(text_, static_cast<std::size_t>(position)).value;
    const char32_t before = CodePointBefore(text_, static_cast<std::size_t>(position)).value;
    if (IsOpening(before)) return false;
    return (IsUnspacedScript(after) || IsUnspacedScript(before)) &&
           (u_isalnum(static_cast<UChar32>(after)) || IsOpening(after));
  }

 private:
  static bool IsOpening(char32_t c) {
    const int category = u_charType(static_cast<UChar32>(c));
    return category == U_START_PUNCTUATION || category == U_INITIAL_PUNCTUATION;
  }

  const std::string_view text_;
  std::unique_ptr<icu::BreakIterator> iterator_;  // null: no script without spaces
  icu::LocalUTextPointer utext_;
  int next_ = 0;
};

}  // namespace

std::vector<WordSpan> GroupWords(std::string_view text, absl::Span<const ByteRange> ranges,
                                 absl::Span<const bool> special) {
  Boundaries boundaries(text);
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
    if (!starts && range.begin >= words.back().range.end && range.begin < range.end) {
      const ByteRange& word = words.back().range;  // of a space alone, it is still to come
      starts = word.begin < word.end && boundaries.BeginsAt(range.begin);
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
