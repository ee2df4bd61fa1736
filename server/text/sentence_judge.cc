#include "server/text/sentence_judge.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "server/text/scripts.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

constexpr std::size_t kMaxTokenBytes = 64;  // a longer one is in no list
constexpr int kMaxNumberBytes = 16;  // a "sentence" up to this long without a letter is the number of what follows
constexpr std::size_t kMaxListMarkBytes = 6;
constexpr int kMaxOpeningMarks = 8;
constexpr int kSpeechWords = 3;        // in which a quote's sentence says who spoke
constexpr int kSpeechLetters = 14;     // likewise, where nothing parts words
constexpr int kShortStart = 20;        // code points
constexpr int kLastSmallOrdinal = 31;  // days, centuries and kings

UChar32 Wide(char32_t c) { return static_cast<UChar32>(c); }
bool IsDigit(char32_t c) { return u_isdigit(Wide(c)); }
bool IsUpper(char32_t c) { return u_isupper(Wide(c)) || u_istitle(Wide(c)); }
bool IsLower(char32_t c) { return u_islower(Wide(c)); }
bool IsLetter(char32_t c) { return u_isalpha(Wide(c)); }
bool IsMark(char32_t c) { return (U_GET_GC_MASK(Wide(c)) & U_GC_M_MASK) != 0; }
bool IsApostrophe(char32_t c) { return c == '\'' || c == 0x2019; }

std::string Lower(std::string_view text) {
  std::string lower;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = CodePointAt(text, i);
    AppendUtf8(static_cast<char32_t>(u_tolower(Wide(c.value))), &lower);
    i += static_cast<std::size_t>(c.size);
  }
  return lower;
}

char32_t First(std::string_view text) { return text.empty() ? 0 : CodePointAt(text, 0).value; }
bool IsOne(std::string_view text) {
  return !text.empty() && static_cast<std::size_t>(CodePointAt(text, 0).size) == text.size();
}

bool BeginsWithAny(std::string_view text, const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) { return text.starts_with(word); });
}

bool EndsWithAny(std::string_view text, const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) { return text.ends_with(word); });
}

template <typename Predicate>
bool All(std::string_view text, Predicate predicate) {
  return !text.empty() && !AnyCodePoint(text, [&](char32_t c) { return !predicate(c); });
}

bool IsRoman(std::string_view text) {
  return All(text, [](char32_t c) {
    return c < 0x80 && std::string_view("IVXLC").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

// The value of a number of at most four digits of any script, no other character in it; -1: it is none.
int Value(std::string_view text) {
  int value = 0, digits = 0;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = CodePointAt(text, i);
    if (!IsDigit(c.value) || ++digits > 4) return -1;
    value = value * 10 + u_charDigitValue(Wide(c.value));
    i += static_cast<std::size_t>(c.size);
  }
  return digits == 0 ? -1 : value;
}

// "3", "3.2", "1,000".
bool IsNumber(std::string_view text) {
  return All(text,
             [](char32_t c) { return IsDigit(c) || c == '.' || c == ',' || c == '-' || c == ':' || c == 0x2013; }) &&
         IsDigit(First(text));
}

// "2024.12.25", "24.12.25".
bool IsDate(std::string_view text) {
  const std::size_t month = text.find('.'), day = text.find('.', month == std::string_view::npos ? month : month + 1);
  if (day == std::string_view::npos || (month != 4 && month != 2)) return false;
  const int m = Value(text.substr(month + 1, day - month - 1)), d = Value(text.substr(day + 1));
  return Value(text.substr(0, month)) >= 0 && m >= 1 && m <= 12 && d >= 1 && d <= 31;
}

// Whether a stretch of a line is no more than "Am 3.", "В октябре 1799 г."
bool IsShort(std::string_view line, int begin, int end) {
  int letters = 0;
  for (int i = begin; i < end; i += CodePointAt(line, static_cast<std::size_t>(i)).size) {
    if (++letters > kShortStart) return false;
  }
  return true;
}

// "U.S", "a.m", "J.-P", "s.r.o": parts of at most two letters.
bool IsDotted(std::string_view text) {
  int letters = 0, parts = 0;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = CodePointAt(text, i);
    i += static_cast<std::size_t>(c.size);
    if (c.value == '.' || (IsDash(c.value) && parts > 0 && letters == 0)) {
      if (c.value == '.' && letters == 0) return false;
      parts += c.value == '.' ? 1 : 0;
      letters = 0;
    } else if (IsLetter(c.value)) {
      if (++letters > 2) return false;
    } else if (!IsMark(c.value)) {
      return false;
    }
  }
  return parts > 0 && letters > 0;
}

// A letter of an alphabet without capitals, which stands alone only as an initial; syllables and Han are words.
bool IsInitialOfUncased(std::string_view text) {
  if (!IsOne(text) || !IsUncasedLetter(First(text)) || IsUnspacedScript(First(text))) return false;
  UErrorCode error = U_ZERO_ERROR;
  return uscript_getScript(Wide(First(text)), &error) != USCRIPT_HANGUL;
}

// "iPhone": a small first letter says nothing of where it stands.
bool IsMixed(std::string_view word) {
  const std::size_t first = static_cast<std::size_t>(word.empty() ? 0 : CodePointAt(word, 0).size);
  return first < word.size() && IsUpper(CodePointAt(word, first).value);
}

// The text between the white space or opening mark before byte `end` and `end`, no more of it than a token may have.
std::string_view WordBefore(std::string_view line, std::size_t begin, std::size_t end) {
  std::size_t at = end;
  while (at > begin && end - at <= kMaxTokenBytes) {
    const CodePoint c = CodePointBefore(line, at);
    if (IsWhiteSpace(c.value) || (IsOpeningMark(c.value) && !IsApostrophe(c.value))) break;
    at -= static_cast<std::size_t>(c.size);
  }
  return line.substr(at, end - at);
}

std::size_t SkipSpaceBack(std::string_view line, std::size_t begin, std::size_t end) {
  while (end > begin) {
    const CodePoint c = CodePointBefore(line, end);
    if (!IsWhiteSpace(c.value)) break;
    end -= static_cast<std::size_t>(c.size);
  }
  return end;
}

}  // namespace

struct SentenceJudge::Token {
  std::string_view text;    // without the period
  std::string_view before;  // the word before it, as it stands; empty: it begins the sentence
  std::uint16_t kinds = 0;  // of it, alone or with what it is written with
  bool parts = false;       // whether `kinds` are those of several parts, "н. э."
  bool first = false;       // whether it begins the sentence
};

struct SentenceJudge::Next {
  char32_t mark = 0;      // the first character
  char32_t letter = 0;    // the first letter or digit
  int at = 0;             // where it stands
  std::string_view word;  // letters and digits from there
  char32_t behind = 0;    // what stands behind the word
};

SentenceJudge::Token SentenceJudge::ReadToken(std::string_view line, int begin, const Stop& stop) const {
  const std::size_t from = static_cast<std::size_t>(begin), end = static_cast<std::size_t>(stop.begin);
  Token token;
  token.text = WordBefore(line, from, end);
  if (token.text.empty() || token.text.size() > kMaxTokenBytes) return {};
  const std::size_t at = end - token.text.size();
  const auto is_mark = [](char32_t c) { return !u_isalnum(Wide(c)); };
  token.first = at == from || (at - from <= kMaxTokenBytes && All(line.substr(from, at - from), is_mark));
  token.before = WordBefore(line, from, SkipSpaceBack(line, from, at));
  // What it is written with says more than it alone: "т. д." is not "д.".
  const auto look = [&](const std::string& spelling) {
    std::uint16_t kinds = lists_.Kinds(spelling);
    const std::string lower = Lower(spelling);
    if (lower != spelling) {
      kinds |= lists_.Kinds(lower) & (token.first ? ~0 : SentenceLists::kNumber | SentenceLists::kBegins);
    }
    if (kinds == 0) return;
    token.kinds = kinds;
    token.parts = spelling.find('.') != std::string::npos;
  };
  // "l'art."
  for (std::size_t i = 0; i < token.text.size();) {
    const CodePoint c = CodePointAt(token.text, i);
    i += static_cast<std::size_t>(c.size);
    if (IsApostrophe(c.value) && i < token.text.size()) {
      token.text.remove_prefix(i);
      i = 0;
    }
  }
  std::string spelling(token.text);
  look(spelling);
  token.kinds |= lists_.KindsOfEnding(token.text);
  // "z. B.", "et al."
  std::string_view before = token.before;
  for (int words = 0; words < 2 && !before.empty() && before.size() <= kMaxTokenBytes; ++words) {
    std::string longer(before);
    if (before.back() != '.') longer.push_back(' ');
    longer.append(spelling);
    spelling.swap(longer);
    look(spelling);
    const std::size_t word_begin = static_cast<std::size_t>(before.data() - line.data());
    before = WordBefore(line, from, SkipSpaceBack(line, from, word_begin));
  }
  return token;
}

SentenceJudge::Next SentenceJudge::ReadNext(std::string_view line, int at) const {
  Next next;
  std::size_t i = static_cast<std::size_t>(at);
  if (i < line.size()) next.mark = CodePointAt(line, i).value;
  for (int marks = 0; i < line.size() && marks < kMaxOpeningMarks; ++marks) {
    const CodePoint c = CodePointAt(line, i);
    if (u_isalnum(Wide(c.value))) break;
    i += static_cast<std::size_t>(c.size);
  }
  if (i >= line.size()) return next;
  next.at = static_cast<int>(i);
  next.letter = CodePointAt(line, i).value;
  if (!u_isalnum(Wide(next.letter))) next.letter = 0;
  std::size_t end = i;
  while (end < line.size() && end - i < kMaxTokenBytes) {
    const CodePoint c = CodePointAt(line, end);
    next.behind = c.value;
    if (!u_isalnum(Wide(c.value)) && !IsMark(c.value)) break;
    end += static_cast<std::size_t>(c.size);
    next.behind = 0;
  }
  next.word = line.substr(i, end - i);
  return next;
}

bool SentenceJudge::IsOpener(const Next& next) const {
  const std::string lower = Lower(next.word);
  if (IsApostrophe(next.behind) && (lists_.Kinds(lower + "'") & SentenceLists::kOpener) != 0) return true;
  if (IsOne(next.word) && next.behind != ' ' && next.behind != 0xA0) return false;
  return (lists_.Kinds(lower) & SentenceLists::kOpener) != 0;
}

// "절을", "장."
bool SentenceJudge::IsCounted(std::string_view text) const {
  const std::string word(text);
  for (std::size_t size = 1; size <= word.size(); ++size) {
    if ((lists_.Kinds(word.substr(0, size)) & SentenceLists::kCounter) == 0) continue;
    if (size == word.size() || (lists_.Kinds(word.substr(size)) & SentenceLists::kParticle) != 0) return true;
  }
  return false;
}

// Whether what follows a quote says who spoke: "Peter said.", 他说.
bool SentenceJudge::IsSpeech(std::string_view line, const Stop& stop, const Next& next) const {
  if (lists_.speech().empty() || next.letter == 0) return false;
  if (stop.next == stop.end) {  // no spaces between words
    std::size_t end = static_cast<std::size_t>(next.at);
    for (int letters = 0; letters < kSpeechLetters && end < line.size(); ++letters) {
      const CodePoint c = CodePointAt(line, end);
      if (!IsLetter(c.value)) break;
      end += static_cast<std::size_t>(c.size);
    }
    if (end < line.size() && IsLetter(CodePointAt(line, end).value)) return false;
    const std::string_view clause =
        line.substr(static_cast<std::size_t>(next.at), end - static_cast<std::size_t>(next.at));
    return EndsWithAny(clause, lists_.speech());
  }
  Next word = next;
  for (int words = 0; words < kSpeechWords && word.letter != 0; ++words) {
    if ((lists_.Kinds(Lower(word.word)) & SentenceLists::kSpeech) != 0) return true;
    if (word.behind != ' ' && !(words == 0 && word.behind == '.')) return false;
    word = ReadNext(line, word.at + static_cast<int>(word.word.size()));
  }
  return false;
}

bool SentenceJudge::Ends(std::string_view line, int begin, const Stop& stop) const {
  const std::string_view text =
      line.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(stop.end - begin));
  if (static_cast<int>(text.size()) <= kMaxNumberBytes && !AnyCodePoint(text, IsLetter)) return false;
  const Next next = ReadNext(line, stop.next);
  const int sentence_break = u_getIntPropertyValue(Wide(next.mark), UCHAR_SENTENCE_BREAK);
  const bool is_dash = IsDash(next.mark);
  if (sentence_break == U_SB_SCONTINUE && !is_dash) return false;
  if (stop.next == stop.end) return EndsWithoutSpace(line, begin, stop, next);
  if (sentence_break == U_SB_STERM || u_charType(Wide(next.mark)) == U_END_PUNCTUATION) return false;
  // A remark in brackets, in the middle of a sentence, ends it with a full stop at most.
  const bool bracket = stop.closing == Stop::Closing::kBracket;
  if (bracket && stop.opened > begin && stop.kind != Stop::Kind::kPeriod) return false;
  if (is_dash && stop.closing == Stop::Closing::kQuote) return false;  // «Нет!» — сказал он.
  const bool small = IsLower(next.letter) && !IsMixed(next.word);
  if (small && !IsUncasedLetter(stop.letter)) return false;
  if (stop.closing == Stop::Closing::kQuote) {
    if (BeginsWithAny(line.substr(static_cast<std::size_t>(stop.next)), lists_.resumes())) return false;
    const bool period = stop.kind == Stop::Kind::kPeriod && !IsUncasedLetter(next.letter);
    if (!period && next.mark == next.letter && IsSpeech(line, stop, next)) return false;
  }
  if (stop.kind == Stop::Kind::kDots) return EndsAfterMark(line, stop, next);
  return stop.kind != Stop::Kind::kPeriod || !GoesOn(line, begin, stop, next);
}

bool SentenceJudge::EndsWithoutSpace(std::string_view line, int begin, const Stop& stop, const Next& next) const {
  const bool uncased = IsUncasedLetter(stop.letter) && IsUncasedLetter(next.letter);
  if (stop.wide) {
    if (stop.kind == Stop::Kind::kPeriod && IsDigit(next.mark)) return false;  // ３．１４
    if (u_charType(Wide(next.mark)) == U_END_PUNCTUATION) return false;
    const std::string_view rest = line.substr(static_cast<std::size_t>(stop.next));
    const char32_t mark = CodePointAt(line, static_cast<std::size_t>(stop.begin)).value;
    const bool full = mark == 0x3002 || mark == 0xFF61;  // 。
    if (stop.closing == Stop::Closing::kBracket) {
      return stop.opened == begin || (full && !BeginsWithAny(rest, lists_.resumes()));
    }
    if (stop.closing == Stop::Closing::kNone) {
      if (stop.kind == Stop::Kind::kPeriod) return !GoesOn(line, begin, stop, next);
      return full || !BeginsWithAny(rest, lists_.continues());
    }
    return !BeginsWithAny(rest, lists_.resumes()) && !IsSpeech(line, stop, next);
  }
  if (stop.kind == Stop::Kind::kDots || stop.closing != Stop::Closing::kNone) return false;
  // "した.DNA", "DVD?次", but 価格.com and 打率.450.
  const bool unspaced = stop.kind == Stop::Kind::kPeriod ? IsUnspacedScript(stop.letter) && IsUpper(next.letter)
                                                         : IsUnspacedScript(next.letter);
  if (!uncased && !unspaced) return false;
  if (next.mark != next.letter && !IsOpeningMark(next.mark)) return false;
  if (stop.kind != Stop::Kind::kPeriod) return (ReadToken(line, begin, stop).kinds & SentenceLists::kInside) == 0;
  return !GoesOn(line, begin, stop, next);
}

// After dots, which also stand where somebody hesitates.
bool SentenceJudge::EndsAfterMark(std::string_view line, const Stop& stop, const Next& next) const {
  if (!IsUncasedLetter(stop.letter) || !IsUncasedLetter(next.letter) || lists_.finals().empty()) return true;
  return EndsWithAny(line.substr(0, static_cast<std::size_t>(stop.begin)), lists_.finals());
}

// Of a token that begins a sentence: "B. Install", "a. Run", "1a. Stop", "IV. Results", "가. 설치".
bool SentenceJudge::IsListMark(const Token& token) {
  const char32_t first = First(token.text);
  if (IsDigit(first)) return token.text.size() <= kMaxListMarkBytes;
  if (IsOne(token.text)) return IsUpper(first) || IsLower(first) || (token.kinds & SentenceLists::kMark) != 0;
  return IsRoman(token.text) && token.text.size() <= kMaxListMarkBytes;
}

// Whether a sentence goes on after a period because of the word that it belongs to.
bool SentenceJudge::GoesOn(std::string_view line, int begin, const Stop& stop, const Next& next) const {
  const Token token = ReadToken(line, begin, stop);
  if (token.text.empty() || next.letter == 0) return false;
  const bool digit = IsDigit(next.letter), uncased = IsUncasedLetter(next.letter);
  if (token.first && IsListMark(token)) return true;
  if (IsDigit(First(token.text))) return GoesOnAfterNumber(token, next);
  const bool of_number = IsDigit(First(token.before)) || (token.before.size() > 1 && IsRoman(token.before));
  constexpr std::uint16_t kAny = SentenceLists::kInside | SentenceLists::kNumber | SentenceLists::kMayEnd |
                                 SentenceLists::kEnds | SentenceLists::kUnit;
  if (IsDash(next.mark) && (token.kinds & kAny) != 0) return true;
  if ((token.kinds & SentenceLists::kUnit) != 0 && (of_number || token.parts) && !digit) {
    return next.mark != next.letter || (IsShort(line, begin, stop.begin) && !IsOpener(next));
  }
  if ((token.kinds & SentenceLists::kNumber) != 0) {
    if (digit) return true;
    const bool numeral = IsRoman(next.word) || (IsOne(next.word) && IsUpper(next.letter));
    // "Fig. A", but not "No. A man", "no. I".
    const bool sure =
        IsUpper(First(token.text)) && !token.first && (lists_.Kinds(next.word) & SentenceLists::kLetter) == 0;
    if (numeral && (sure || !IsOpener(next))) return true;
  }
  if ((token.kinds & SentenceLists::kInside) != 0) return true;
  if ((token.kinds & SentenceLists::kBegins) != 0) {
    if ((lists_.Kinds(std::string(token.text) + "." + std::string(next.word)) &
         (SentenceLists::kInside | SentenceLists::kMayEnd | SentenceLists::kBegins)) != 0) {
      return true;
    }
  }
  if ((token.kinds & SentenceLists::kEnds) != 0) return false;
  const bool may_end = (token.kinds & SentenceLists::kMayEnd) != 0;
  if (may_end || IsDotted(token.text)) {
    if (next.mark == '(' || next.mark == '[') return true;
    if (digit) return !may_end;
    if (uncased) return !IsUncasedLetter(stop.letter) || IsDotted(token.text);
    return !IsOpener(next);
  }
  const bool ordinal = lists_.ordinals() != SentenceLists::Ordinals::kNone && IsRoman(token.text);
  if (ordinal && !IsOne(token.text)) return !IsOpener(next);
  return GoesOnAfterLetter(token, next);
}

bool SentenceJudge::GoesOnAfterNumber(const Token& token, const Next& next) const {
  // "제 3.2. 절", "2024. 12. 25. 오후"
  if (IsNumber(token.text) && next.mark == next.letter && IsCounted(next.word)) return true;
  if (IsUncasedLetter(next.letter) && IsDate(token.text)) return true;
  const int value = Value(token.text);
  if (value < 0) return false;
  const bool dated = IsUncasedLetter(next.letter) && token.before.size() > 1 && token.before.back() == '.' &&
                     Value(token.before.substr(0, token.before.size() - 1)) >= 0;
  if (dated) return true;
  if (IsDigit(next.letter)) {
    const int after = Value(next.word);
    const bool date = next.behind == '.' && after >= 1 && after <= 31;
    const bool year = value >= 1 && value <= 12 && after >= 1000;
    return (date || year) && (lists_.ordinals() != SentenceLists::Ordinals::kNone || date);
  }
  if (lists_.ordinals() == SentenceLists::Ordinals::kNone || IsUncasedLetter(next.letter)) return false;
  const int last = lists_.ordinals() == SentenceLists::Ordinals::kBeforeNouns ? 999 : kLastSmallOrdinal;
  const bool decade =
      value % 10 == 0 && value < 100 && next.mark != next.letter && !IsDash(next.mark);  // "lata 60. „Solidarności”"
  return value >= 1 && (value <= last || decade) && !IsOpener(next);
}

// Initials: "J. Kim", "É. Zola", "د. محمد".
bool SentenceJudge::GoesOnAfterLetter(const Token& token, const Next& next) const {
  if (IsInitialOfUncased(token.text)) return true;
  if (!IsOne(token.text) || !IsUpper(First(token.text))) return false;
  if (!IsUpper(next.letter) && !IsUncasedLetter(next.letter)) return false;
  if (IsOpener(next)) return false;
  std::string_view before = token.before;
  while (!before.empty() && !IsLetter(CodePointBefore(before, before.size()).value) && before.back() != '.') {
    before.remove_suffix(static_cast<std::size_t>(CodePointBefore(before, before.size()).size));
  }
  if ((lists_.Kinds(Lower(before)) & SentenceLists::kLabel) != 0) return false;
  const bool is_word = (lists_.Kinds(std::string(token.text)) & SentenceLists::kLetter) != 0;
  return !(is_word && IsLower(First(before)));
}

}  // namespace heed
