// Cuts a text into sentences by ICU's rules for a language, so that each is a row of its own and the parts go back
// together with the source's own spacing.
//
// ICU's cuts are corrected where technical text needs it. No cut: after an abbreviation ("e.g. ", "Dr. ", "No. 5";
// CLDR's list for the language as well), after an initial ("J. Kim"), after a list number ("1. "), inside what has no
// space ("a!=b", "f().G()", a closing quote with a particle), before marks alone at the end (" :"). A cut although a
// small letter follows: after a word of a script without capitals ("합니다. pip").
//
// Thread-safe: every call makes its own iterator. A SentenceCutter is not.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/text/tokenizer.h"

namespace heed {

class SentenceCutter;

class SentenceSplitter {
 public:
  // `language` is a BCP 47 tag, "ko". INVALID_ARGUMENT when ICU has no such locale syntax.
  static absl::StatusOr<SentenceSplitter> Make(const std::string& language);

  // Byte ranges of the sentences of valid UTF-8 `text`, in order, without the spaces around them; a line break (LF, CR,
  // VT, FF, NEL, U+2028, U+2029) always ends a sentence. What lies between two ranges is space (Unicode White_Space) or
  // nothing. Text of spaces alone gives none.
  std::vector<ByteRange> Split(std::string_view text) const;

  // The same one sentence after the other. Splitter and text outlive it and stay where they are.
  std::unique_ptr<SentenceCutter> Start(std::string_view text) const;

  // The same for a text that is not cut: one range without surrounding space, or none.
  static std::vector<ByteRange> Whole(std::string_view text);

 private:
  class Cutter;
  struct Rules;
  explicit SentenceSplitter(std::shared_ptr<const Rules> rules) : rules_(std::move(rules)) {}

  std::shared_ptr<const Rules> rules_;
};

// What is left of a text that is being cut, for those who do a little at a time.
//
// Not thread-safe.
class SentenceCutter {
 public:
  virtual ~SentenceCutter() = default;
  // The next sentence, as Split has it; none: the text is at its end. Takes time in proportion to the sentence and the
  // space before it.
  virtual std::optional<ByteRange> Next() = 0;
};

}  // namespace heed
