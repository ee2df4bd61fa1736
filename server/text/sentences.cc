#include "server/text/sentences.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/text/sentence_judge.h"
#include "server/text/sentence_lists.h"
#include "server/text/sentence_stops.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

bool IsLineBreak(char32_t c) { return (c >= 0x0A && c <= 0x0D) || c == 0x85 || c == 0x2028 || c == 0x2029; }

// One past the last letter or digit of `text`; 0 when there is none.
int EndOfWords(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    const CodePoint c = CodePointBefore(text, end);
    if (u_isalnum(static_cast<UChar32>(c.value))) break;
    end -= static_cast<std::size_t>(c.size);
  }
  return static_cast<int>(end);
}

}  // namespace

struct SentenceSplitter::Rules {
  explicit Rules(SentenceLists known) : lists(std::move(known)), judge(lists) {}

  const SentenceLists lists;
  const SentenceJudge judge;
};

absl::StatusOr<SentenceSplitter> SentenceSplitter::Make(const std::string& language,
                                                        const model::v1::SentenceLists* own) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Locale locale = icu::Locale::forLanguageTag(language, error);
  if (language.empty() || U_FAILURE(error) || locale.isBogus()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", language, "\" is not a BCP 47 language tag"));
  }
  SentenceLists lists = SentenceLists::For(locale.getLanguage());
  if (own != nullptr) lists.Add(*own);
  return SentenceSplitter(std::make_shared<const Rules>(std::move(lists)));
}

class SentenceSplitter::Cutter : public SentenceCutter {
 public:
  Cutter(std::shared_ptr<const Rules> rules, std::string_view text)
      : rules_(std::move(rules)), text_(text), stops_(rules_->lists) {}

  std::optional<ByteRange> Next() override {
    while (true) {
      if (!in_line_ && !StartLine()) return std::nullopt;
      const int begin = begin_;
      in_line_ = FindEnd();
      const ByteRange sentence = TrimWhiteSpace(text_, {line_.begin + begin, line_.begin + begin_});
      if (sentence.begin < sentence.end) return sentence;
    }
  }

 private:
  // The next line; false where there is none.
  bool StartLine() {
    if (next_line_ > text_.size()) return false;
    const int begin = static_cast<int>(next_line_);
    std::size_t end = next_line_;
    int size = 1;  // of what ends the line; past the last one there is none
    for (; end < text_.size(); end += static_cast<std::size_t>(size)) {
      const CodePoint c = CodePointAt(text_, end);
      size = c.size;
      if (IsLineBreak(c.value)) break;
    }
    next_line_ = end < text_.size() ? end + static_cast<std::size_t>(size) : text_.size() + 1;
    line_ = TrimWhiteSpace(text_, {begin, static_cast<int>(end)});
    content_ = text_.substr(static_cast<std::size_t>(line_.begin), static_cast<std::size_t>(line_.end - line_.begin));
    begin_ = 0;
    // Marks alone at the end (" :") belong to the sentence before them.
    words_end_ = EndOfWords(content_);
    stops_.Start(content_);
    return true;
  }

  // Moves begin_ to where the next sentence begins; whether the line goes on.
  bool FindEnd() {
    while (const std::optional<Stop> stop = stops_.Next()) {
      if (stop->next >= words_end_ || stop->begin < begin_ || !rules_->judge.Ends(content_, begin_, *stop)) continue;
      begin_ = stop->next;
      return true;
    }
    begin_ = static_cast<int>(content_.size());
    return false;
  }

  const std::shared_ptr<const Rules> rules_;
  const std::string_view text_;
  StopFinder stops_;
  std::size_t next_line_ = 0;  // where it begins; beyond the text: there is none
  bool in_line_ = false;
  // Of the line.
  ByteRange line_;
  std::string_view content_;
  int begin_ = 0;  // of what is left
  int words_end_ = 0;
};

std::unique_ptr<SentenceCutter> SentenceSplitter::Start(std::string_view text) const {
  return std::make_unique<Cutter>(rules_, text);
}

std::vector<ByteRange> SentenceSplitter::Split(std::string_view text) const {
  std::vector<ByteRange> sentences;
  Cutter cutter(rules_, text);
  while (const std::optional<ByteRange> sentence = cutter.Next()) sentences.push_back(*sentence);
  return sentences;
}

std::vector<ByteRange> SentenceSplitter::Whole(std::string_view text) {
  const ByteRange range = TrimWhiteSpace(text, {0, static_cast<int>(text.size())});
  if (range.begin == range.end) return {};
  return {range};
}

}  // namespace heed
