#include "server/text/sentence_stops.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

#include "server/text/scripts.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

// A quote or bracket of more bytes than this is cut inside: it is a paragraph, not part of a sentence.
constexpr int kMaxQuoteBytes = 300;
// "[12]", "[citation needed]".
constexpr int kMaxNoteBytes = 24;
constexpr char32_t kDots = 0x2026;

struct Pair {
  char32_t open, close, close_too;
  bool is_quote;
};
constexpr std::array<Pair, 20> kPairs = {{
    {'(', ')', 0, false},           {'[', ']', 0, false},       {'"', '"', 0, true},        {0x201C, 0x201D, 0, true},
    {0x201E, 0x201C, 0x201D, true}, {0xAB, 0xBB, 0, true},      {0xBB, 0xAB, 0, true},      {0x201D, 0x201D, 0, true},
    {0x201A, 0x2018, 0x2019, true}, {0x300C, 0x300D, 0, true},  {0x300E, 0x300F, 0, true},  {0x300A, 0x300B, 0, true},
    {0x3008, 0x3009, 0, true},      {0xFF08, 0xFF09, 0, false}, {0x3010, 0x3011, 0, false}, {0x3014, 0x3015, 0, false},
    {0xFF3B, 0xFF3D, 0, false},     {0xFF62, 0xFF63, 0, true},  {0x2039, 0x203A, 0, true},  {0xFF02, 0xFF02, 0, true},
}};

int Class(char32_t c) { return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_SENTENCE_BREAK); }
int Category(char32_t c) { return u_charType(static_cast<UChar32>(c)); }
bool IsWord(char32_t c) { return u_isalnum(static_cast<UChar32>(c)); }

// The code point at a position; 0 past the end.
CodePoint At(std::string_view line, std::size_t i) { return i < line.size() ? CodePointAt(line, i) : CodePoint{0, 0}; }

bool IsStraight(char32_t c) { return c == '"' || c == '\'' || c == 0xFF02; }
// A quotation mark that some languages open with and others close with, which its neighbours tell.
bool IsEither(char32_t c) { return IsStraight(c) || c == 0xBB || c == 0x201D || c == 0xAB || c == 0x201C; }

// A stop that a space follows, so that a mark right behind it closes.
bool IsNarrowStop(char32_t c) { return c == '.' || c == '!' || c == '?' || c == kDots; }

// Whether a quote is open after `c`, where one was or was not before.
bool IsQuoteOpen(char32_t c, bool open) {
  if (c == '"' || c == 0xFF02) return !open;
  if (c == 0x201C || c == 0x201E || c == 0x300C) return true;
  if (c == 0x201D || c == 0x300D) return false;
  return open;
}

// Where the pair that opens at `begin` closes; -1: too far away, or it opens again before.
int FindClose(std::string_view line, std::size_t begin, int size, const Pair& pair) {
  const std::size_t bound = std::min(line.size(), begin + kMaxQuoteBytes);
  for (std::size_t i = begin + static_cast<std::size_t>(size); i < bound;) {
    const CodePoint c = CodePointAt(line, i);
    const std::size_t after = i + static_cast<std::size_t>(c.size);
    if (c.value == pair.close || (pair.close_too != 0 && c.value == pair.close_too)) {
      if (pair.open != pair.close) return static_cast<int>(i);
      if (!IsWord(At(line, after).value))
        return IsWhiteSpace(CodePointBefore(line, i).value) ? -1 : static_cast<int>(i);
    }
    if (c.value == pair.open) return -1;
    i = after;
  }
  return -1;
}

// One past the note mark that begins at `i`, "[12]"; `i` where there is none.
std::size_t SkipNote(std::string_view line, std::size_t i) {
  if (At(line, i).value != '[') return i;
  const std::size_t end = line.substr(i, kMaxNoteBytes).find(']');
  if (end == std::string_view::npos || end < 2) return i;
  const std::string_view inside = line.substr(i + 1, end - 1);
  const bool letter = static_cast<std::size_t>(CodePointAt(inside, 0).size) == inside.size();
  const bool number = std::all_of(inside.begin(), inside.end(),
                                  [](char c) { return (c >= '0' && c <= '9') || c == ',' || c == '-' || c == ' '; });
  const auto starts = [&](std::string_view word) { return inside.substr(0, word.size()) == word; };
  const bool known = starts("note ") || starts("nb ") || starts("注") || starts("註") || starts("주 ") ||
                     inside == "citation needed" || inside == "Anm." || starts("прим");
  return letter || number || known ? i + end + 1 : i;
}

bool IsNoteSign(char32_t c) {
  return c == 0xB9 || c == 0xB2 || c == 0xB3 || (c >= 0x2070 && c <= 0x2079) || c == 0x2020 || c == 0x2021;
}

}  // namespace

bool IsOpeningMark(char32_t c) {
  const int category = Category(c);
  return category == U_START_PUNCTUATION || category == U_INITIAL_PUNCTUATION || IsEither(c) || c == 0xBF ||
         c == 0xA1 || c == 0x2018 || c == 0x2019 || c == '*' || c == '_' || c == '`';
}

bool IsDash(char32_t c) { return c == '-' || (c >= 0x2010 && c <= 0x2015) || c == 0x2212; }

bool IsUncasedLetter(char32_t c) { return Class(c) == U_SB_OLETTER; }

bool StopFinder::IsStop(char32_t c) const {
  if (c < 0x80 && c != ';') return c == '.' || c == '!' || c == '?';
  if (c == kDots) return true;
  if (c < 0x80 || c == 0x37E) {
    std::string spelling;
    AppendUtf8(c, &spelling);
    return (lists_.Kinds(spelling) & SentenceLists::kStop) != 0;
  }
  const int sentence_break = Class(c);
  return sentence_break == U_SB_STERM || sentence_break == U_SB_ATERM;
}

void StopFinder::Start(std::string_view line) {
  line_ = line;
  at_ = 0;
  letter_ = last_ = 0;
  quoted_ = false;
  opened_ = close_ = -1;
}

// Finds what stands between the stop and the text after it.
void StopFinder::Close(Stop* stop) const {
  std::size_t i = static_cast<std::size_t>(stop->after);
  while (i < line_.size()) {
    const CodePoint c = CodePointAt(line_, i);
    const std::size_t after = i + static_cast<std::size_t>(c.size);
    const int category = Category(c.value);
    const bool bracket = category == U_END_PUNCTUATION;
    bool closes = bracket || category == U_FINAL_PUNCTUATION || IsStraight(c.value);
    if (category == U_INITIAL_PUNCTUATION) {
      closes = static_cast<int>(i) == close_ || (!stop->wide && !IsWord(At(line_, after).value));
    } else if (stop->wide && (IsStraight(c.value) || c.value == 0x201D)) {  // no space tells whose it is
      closes = quoted_ || !IsWord(At(line_, after).value);
    }
    if (closes) {
      // 」 and the like are brackets by Unicode, quotes by use.
      const auto* const pair =
          std::find_if(kPairs.begin(), kPairs.end(), [&](const Pair& p) { return p.close == c.value && p.is_quote; });
      stop->closing = bracket && pair == kPairs.end() ? Stop::Closing::kBracket : Stop::Closing::kQuote;
      if (static_cast<int>(i) == close_) stop->opened = opened_;
      i = after;
    } else if ((!stop->wide && (c.value == '*' || c.value == '_')) || IsNoteSign(c.value)) {
      i = after;
    } else if (const std::size_t note = SkipNote(line_, i); note > i) {
      i = note;
    } else {
      break;
    }
  }
  stop->end = static_cast<int>(i);
  while (i < line_.size()) {
    const CodePoint c = CodePointAt(line_, i);
    if (!IsWhiteSpace(c.value)) break;
    i += static_cast<std::size_t>(c.size);
  }
  stop->next = static_cast<int>(i);
  // "Non ! »": a space before the closing mark.
  const CodePoint c = At(line_, i);
  if ((c.value == 0xBB || c.value == 0x203A) && stop->next > stop->end) {
    const std::size_t after = i + static_cast<std::size_t>(c.size);
    if (IsWord(At(line_, after).value)) return;
    stop->closing = Stop::Closing::kQuote;
    if (static_cast<int>(i) == close_) stop->opened = opened_;
    stop->end = stop->next = static_cast<int>(after);
    while (static_cast<std::size_t>(stop->next) < line_.size()) {
      const CodePoint space = CodePointAt(line_, static_cast<std::size_t>(stop->next));
      if (!IsWhiteSpace(space.value)) break;
      stop->next += space.size;
    }
  }
}

std::optional<Stop> StopFinder::Next() {
  while (at_ < line_.size()) {
    const CodePoint c = CodePointAt(line_, at_);
    const int at = static_cast<int>(at_);
    at_ += static_cast<std::size_t>(c.size);
    const char32_t before = last_;
    last_ = c.value;
    if (!IsStop(c.value)) {
      if (IsWord(c.value)) {
        letter_ = c.value;
        continue;
      }
      quoted_ = IsQuoteOpen(c.value, quoted_);
      if (at <= close_ || !IsOpeningMark(c.value)) continue;
      const auto* const pair =
          std::find_if(kPairs.begin(), kPairs.end(), [&](const Pair& p) { return p.open == c.value; });
      if (pair == kPairs.end()) continue;
      // What may be either opens after a space or another mark, before what is none.
      if (IsEither(c.value) && (IsWord(before) || IsNarrowStop(before) || IsWhiteSpace(At(line_, at_).value))) {
        if (c.value != 0xAB) continue;
        if (IsWord(before)) continue;
      }
      const int close = FindClose(line_, static_cast<std::size_t>(at), c.size, *pair);
      if (close >= 0) {
        opened_ = at;
        close_ = close;
      }
      continue;
    }
    Stop stop;
    stop.begin = at;
    stop.letter = letter_;
    int dots = c.value == '.' ? 1 : 0;
    bool other = c.value != '.' && c.value != kDots, more = c.value == kDots;
    const int first_class = Class(c.value);
    stop.wide = c.value >= 0x80 && c.value != kDots;
    while (at_ < line_.size()) {
      const CodePoint next = CodePointAt(line_, at_);
      // "。...": the dots begin the next sentence.
      if (!IsStop(next.value) || (IsNarrowStop(next.value) && last_ >= 0x80 && last_ != kDots)) break;
      dots += next.value == '.' ? 1 : 0;
      more = more || next.value == kDots;
      other = other || (next.value != '.' && next.value != kDots);
      stop.wide = stop.wide || (next.value >= 0x80 && next.value != kDots);
      last_ = next.value;
      at_ += static_cast<std::size_t>(next.size);
    }
    stop.after = static_cast<int>(at_);
    const bool single = stop.after - stop.begin == c.size;
    stop.kind = other && !(single && first_class == U_SB_ATERM) ? Stop::Kind::kOther
                : more || dots > 1                              ? Stop::Kind::kDots
                                                                : Stop::Kind::kPeriod;
    if (stop.kind == Stop::Kind::kOther && IsUnspacedScript(stop.letter)) stop.wide = true;
    Close(&stop);
    if (stop.closing != Stop::Closing::kNone && IsUnspacedScript(stop.letter)) stop.wide = true;
    if (before == '[' || before == '(') continue;             // "[...]"
    if (stop.begin < close_ && stop.end <= close_) continue;  // inside a quote
    return stop;
  }
  return std::nullopt;
}

}  // namespace heed
