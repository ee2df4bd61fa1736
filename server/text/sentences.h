// Cuts a text into sentences by the rules of a language, so that each is a row of its own and the parts go back
// together with the source's own spacing.
//
// Stops and letters are what Unicode says they are (ICU's properties); what each language abbreviates, numbers and
// quotes is data (sentence_lists.txt). A sentence does not end after an abbreviation before a name or a number ("Dr. ",
// "No. 5"), an initial ("É. Zola"), an ordinal ("am 3. Oktober"), a list mark ("1. "), a quote that somebody is said to
// have spoken ("Go!" he said), nor inside a short quote or bracket, nor where no space follows ("os.path"), but in
// scripts that have none. Marks alone at the end (" :") and note marks ("[1]") belong to the sentence before them.
//
// Thread-safe: a splitter is read-only. A SentenceCutter is not.
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

namespace model::v1 {
class SentenceLists;
}  // namespace model::v1

class SentenceCutter;

class SentenceSplitter {
 public:
  // `language` is a BCP 47 tag, "ko"; one without lists gets what all have in common. `own`: a bundle's lists, added to
  // the language's. INVALID_ARGUMENT when ICU has no such locale syntax.
  static absl::StatusOr<SentenceSplitter> Make(const std::string& language,
                                               const model::v1::SentenceLists* own = nullptr);

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
