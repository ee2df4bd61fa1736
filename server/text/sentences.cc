#include "server/text/sentences.h"

#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/ures.h>
#include <unicode/utext.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

// Abbreviations of English, which technical text of every language uses, as they stand before their last dot. After
// these a sentence goes on...
constexpr std::array<std::string_view, 16> kAbbreviations = {"e.g", "i.e", "cf", "viz", "approx", "resp", "incl", "al",
                                                             "vs",  "Dr",  "Mr", "Mrs", "Ms",     "Prof", "Jr",   "Sr"};
// ...and after these it does if a digit follows.
constexpr std::array<std::string_view, 16> kBeforeNumber = {"no",  "nos", "fig", "figs", "eq",  "eqs", "sec", "ch",
                                                            "vol", "p",   "pp",  "ver",  "rev", "art", "pt",  "v"};
// A "sentence" up to this long with no letter in it is the number of what follows.
constexpr int kMaxNumberBytes = 8;

int SentenceBreakClass(char32_t c) { return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_SENTENCE_BREAK); }
bool IsUncasedLetter(char32_t c) { return SentenceBreakClass(c) == U_SB_OLETTER; }
bool IsLineBreak(char32_t c) { return (c >= 0x0A && c <= 0x0D) || c == 0x85 || c == 0x2028 || c == 0x2029; }

// One past the last letter or digit of `text`; 0 when there is none.
int EndOfWords(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    const CodePoint c = CodePointBefore(text, end);
    if (u_isalnum(static_cast<UChar32>(c.value))) break;
    end -= c.size;
  }
  return static_cast<int>(end);
}

bool HasLetter(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = CodePointAt(text, i);
    if (u_isalpha(static_cast<UChar32>(c.value))) return true;
    i += c.size;
  }
  return false;
}

// The last word of `text`, without what opens it: "e.g." of "so(e.g.".
std::string_view LastToken(std::string_view text) {
  std::size_t begin = text.size(), token = text.size();
  while (begin > 0) {
    const CodePoint c = CodePointBefore(text, begin);
    if (IsWhiteSpace(c.value) || SentenceBreakClass(c.value) == U_SB_CLOSE) break;
    begin -= c.size;
    if (u_isalnum(static_cast<UChar32>(c.value))) token = begin;
  }
  return text.substr(token);
}

// CLDR's sentence-break suppressions for exactly this language ("z.B."); none where it has none.
std::set<std::string, std::less<>> Suppressions(const icu::Locale& locale) {
  std::set<std::string, std::less<>> found;
  UErrorCode error = U_ZERO_ERROR;
  // Opened directly: by fallback a language without a list would get that of the machine's own locale.
  icu::LocalUResourceBundlePointer bundle(ures_openDirect(U_ICUDATA_NAME "-brkitr", locale.getLanguage(), &error));
  icu::LocalUResourceBundlePointer exceptions(ures_getByKey(bundle.getAlias(), "exceptions", nullptr, &error));
  icu::LocalUResourceBundlePointer list(ures_getByKey(exceptions.getAlias(), "SentenceBreak", nullptr, &error));
  const int size = U_SUCCESS(error) ? ures_getSize(list.getAlias()) : 0;
  for (int i = 0; i < size && U_SUCCESS(error); ++i) {
    int length = 0;
    const UChar* entry = ures_getStringByIndex(list.getAlias(), i, &length, &error);
    if (U_FAILURE(error)) break;
    std::string utf8;
    found.insert(icu::UnicodeString(entry, length).toUTF8String(utf8));
  }
  return found;
}

// Ends of candidate sentences inside [0, line.size()), in order, as ICU and the script rule see them; some twice.
class Candidates {
 public:
  explicit Candidates(const icu::BreakIterator& rules) : iterator_(rules.clone()) {}

  // Begins with another line, which stays where it is.
  void Start(std::string_view line) {
    line_ = line;
    at_ = 0;
    word_ = last_ = 0;
    ended_ = false;
    UErrorCode error = U_ZERO_ERROR;
    utext_.adoptInstead(utext_openUTF8(nullptr, line.data(), static_cast<int>(line.size()), &error));
    iterator_->setText(utext_.getAlias(), error);
    by_icu_ = U_SUCCESS(error) ? iterator_->next() : icu::BreakIterator::DONE;
    by_script_ = NextByScript();
  }

  // The next one; none: the line is at its end.
  std::optional<int> Next() {
    std::optional<int> next;
    if (by_icu_ != icu::BreakIterator::DONE && (!by_script_.has_value() || by_icu_ <= *by_script_)) {
      next = by_icu_;
      by_icu_ = iterator_->next();
    } else if (by_script_.has_value()) {
      next = by_script_;
      by_script_ = NextByScript();
    }
    return next;
  }

 private:
  // ICU does not cut before a small letter, as "etc. and" wants it; a script without capitals has no such excuse.
  std::optional<int> NextByScript() {
    while (at_ < line_.size()) {
      const std::size_t i = at_;
      const CodePoint c = CodePointAt(line_, i);
      const bool space = IsWhiteSpace(c.value);
      const bool cut = ended_ && !space && IsWhiteSpace(last_);
      if (cut) ended_ = false;
      if (c.value == '.') {
        ended_ = IsUncasedLetter(word_);
      } else if (!space && SentenceBreakClass(c.value) != U_SB_CLOSE) {
        ended_ = false;
      }
      if (space) word_ = 0;
      if (!space && SentenceBreakClass(c.value) != U_SB_CLOSE) word_ = c.value;
      last_ = c.value;
      at_ += static_cast<std::size_t>(c.size);
      if (cut) return static_cast<int>(i);
    }
    return std::nullopt;
  }

  const std::unique_ptr<icu::BreakIterator> iterator_;
  std::string_view line_;
  icu::LocalUTextPointer utext_;
  int by_icu_ = icu::BreakIterator::DONE;  // the next of each
  std::optional<int> by_script_;
  // Of the script rule: where it is, what stands before a full stop (closing marks left out), the last code point,
  // whether it is in the closing marks and spaces after a full stop of such a script.
  std::size_t at_ = 0;
  char32_t word_ = 0, last_ = 0;
  bool ended_ = false;
};

}  // namespace

struct SentenceSplitter::Rules {
  std::unique_ptr<const icu::BreakIterator> iterator;  // to be copied
  std::set<std::string, std::less<>> suppressions;

  bool IsAbbreviation(std::string_view token, char32_t next) const;
  // Whether a sentence that starts at `begin` really ends at `end`, inside the line.
  bool Ends(std::string_view line, int begin, int end) const;
};

bool SentenceSplitter::Rules::IsAbbreviation(std::string_view token, char32_t next) const {
  if (suppressions.contains(token)) return true;
  token.remove_suffix(1);  // the dot
  if (token.size() == 1 && absl::ascii_isupper(token[0]) && next < 0x80 && absl::ascii_isupper(next)) return true;
  const std::string lower = absl::AsciiStrToLower(std::string(token));
  const auto is = [&](std::string_view known) { return known == token || known == lower; };
  return std::any_of(kAbbreviations.begin(), kAbbreviations.end(), is) ||
         (u_isdigit(static_cast<UChar32>(next)) && std::any_of(kBeforeNumber.begin(), kBeforeNumber.end(), is));
}

bool SentenceSplitter::Rules::Ends(std::string_view line, int begin, int end) const {
  const ByteRange sentence = TrimWhiteSpace(line, {begin, end});
  if (sentence.begin == sentence.end) return false;
  const std::string_view text = line.substr(sentence.begin, sentence.end - sentence.begin);
  if (static_cast<int>(text.size()) <= kMaxNumberBytes && !HasLetter(text)) return false;
  const char32_t next = CodePointAt(line, end).value;
  const CodePoint last = CodePointBefore(text, text.size());
  if (sentence.end == end) {  // no space follows
    if (SentenceBreakClass(last.value) == U_SB_CLOSE) return false;
    const std::size_t stem = text.size() - last.size;
    const bool between_words = IsUncasedLetter(next) && stem > 0 && IsUncasedLetter(CodePointBefore(text, stem).value);
    if (last.value < 0x80 && !between_words) return false;
  }
  if (last.value != '.') return true;
  const std::string_view token = LastToken(text);
  return token.empty() || token.back() != '.' || !IsAbbreviation(token, next);
}

absl::StatusOr<SentenceSplitter> SentenceSplitter::Make(const std::string& language) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Locale locale = icu::Locale::forLanguageTag(language, error);
  if (language.empty() || U_FAILURE(error) || locale.isBogus()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", language, "\" is not a BCP 47 language tag"));
  }
  auto rules = std::make_shared<Rules>();
  rules->iterator.reset(icu::BreakIterator::createSentenceInstance(locale, error));
  if (U_FAILURE(error)) {
    return absl::InternalError(absl::StrCat("ICU has no sentence rules: ", u_errorName(error)));
  }
  rules->suppressions = Suppressions(locale);
  return SentenceSplitter(std::move(rules));
}

class SentenceSplitter::Cutter : public SentenceCutter {
 public:
  Cutter(std::shared_ptr<const Rules> rules, std::string_view text)
      : rules_(std::move(rules)), text_(text), candidates_(*rules_->iterator) {}

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
    candidates_.Start(content_);
    return true;
  }

  // Moves begin_ to the end of the sentence that begins there; whether the line goes on.
  bool FindEnd() {
    while (const std::optional<int> end = candidates_.Next()) {
      if (*end <= begin_ || *end >= words_end_ || !rules_->Ends(content_, begin_, *end)) continue;
      begin_ = *end;
      return true;
    }
    begin_ = static_cast<int>(content_.size());
    return false;
  }

  const std::shared_ptr<const Rules> rules_;
  const std::string_view text_;
  Candidates candidates_;
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
