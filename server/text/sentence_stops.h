// Finds where sentences of a line may end: each stop (".", "?!", "。"), the closing marks and note marks behind it, and
// where the text goes on. What lies inside a short quote or bracket is left out: a sentence that quotes others is one.
//
// Takes time in proportion to the line, whatever is in it. Not thread-safe.
#pragma once

#include <optional>
#include <string_view>

#include "server/text/sentence_lists.h"

namespace heed {

// Byte positions in the line.
struct Stop {
  enum class Kind { kPeriod, kDots, kOther };      // one "."; "..." and "…"; "?", "!" and the like
  enum class Closing { kNone, kQuote, kBracket };  // the last closing mark behind it

  Kind kind = Kind::kOther;
  Closing closing = Closing::kNone;
  bool wide = false;         // of a script that needs no space behind it: 。！؟।
  int begin = 0, after = 0;  // the stop itself
  int end = 0;               // behind closing and note marks: where the sentence ends, if it does
  int next = 0;              // behind the space after them; the line's size where nothing follows
  int opened = -1;           // where the bracket or quote opened that is closed behind the stop, where that is known
  char32_t letter = 0;       // the last letter or digit before it; 0: none
};

class StopFinder {
 public:
  explicit StopFinder(const SentenceLists& lists) : lists_(lists) {}

  // Begins with another line of valid UTF-8, which stays where it is, as `lists` does.
  void Start(std::string_view line);
  std::optional<Stop> Next();

 private:
  bool IsStop(char32_t c) const;
  void Close(Stop* stop) const;

  const SentenceLists& lists_;
  std::string_view line_;
  std::size_t at_ = 0;
  char32_t letter_ = 0;
  bool quoted_ = false;           // whether a quotation mark was opened and none closed since
  char32_t last_ = 0;             // the code point before at_; 0: none
  int opened_ = -1, close_ = -1;  // of the bracket or quote around at_, or the last one: its marks' positions
};

// What the characters of a sentence's end are; for the files of the splitter.
bool IsOpeningMark(char32_t c);
bool IsDash(char32_t c);
bool IsUncasedLetter(char32_t c);

}  // namespace heed
