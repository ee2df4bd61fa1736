// Whether a sentence ends at a stop: the rules that the lists of a language feed. Each looks at a bounded piece of the
// text around the stop.
//
// Thread-safe: read-only.
#pragma once

#include <string>
#include <string_view>

#include "server/text/sentence_lists.h"
#include "server/text/sentence_stops.h"

namespace heed {

class SentenceJudge {
 public:
  // `lists` outlives it.
  explicit SentenceJudge(const SentenceLists& lists) : lists_(lists) {}

  // Whether the sentence that begins at byte `begin` of `line` ends at `stop`; there are words behind it.
  bool Ends(std::string_view line, int begin, const Stop& stop) const;

 private:
  struct Token;  // what stands before a period
  struct Next;   // what stands behind the space

  bool EndsWithoutSpace(std::string_view line, int begin, const Stop& stop, const Next& next) const;
  bool EndsAfterMark(std::string_view line, const Stop& stop, const Next& next) const;
  bool GoesOn(std::string_view line, int begin, const Stop& stop, const Next& next) const;
  bool GoesOnAfterNumber(const Token& token, const Next& next) const;
  bool GoesOnAfterLetter(const Token& token, const Next& next) const;
  static bool IsListMark(const Token& token);

  Token ReadToken(std::string_view line, int begin, const Stop& stop) const;
  Next ReadNext(std::string_view line, int at) const;
  bool IsOpener(const Next& next) const;
  bool IsSpeech(std::string_view line, const Stop& stop, const Next& next) const;
  bool IsCounted(std::string_view text) const;

  const SentenceLists& lists_;
};

}  // namespace heed
