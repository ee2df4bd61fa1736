// How much of a source is written in the scripts that its model was made for, piece by piece.
//
// A piece counts where it holds a letter, or is unknown; it is the model's own where it is known and all its letters
// are of the model's scripts. A letter of several scripts (U+30FC of Hiragana and Katakana) is of each of them; one of
// none (U+00B5, the micro sign) is no letter here. Punctuation, digits, spaces and specials do not count. With "Hang":
//
//   "▁함수는" own   "▁print" foreign   "()" does not count   <unk> and the byte <0xE3> foreign
//
// Thread-safe: immutable after Make.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/types.h"
#include "heed/model/v1/model.pb.h"
#include "server/text/tokenizer.h"

namespace heed {

class ScriptCoverage {
 public:
  // `scripts` as CheckSourceScripts passes them. INVALID_ARGUMENT for a code that ICU does not know as a script of
  // characters: "Xxxx", or "Jpan", which is three.
  static absl::StatusOr<ScriptCoverage> Make(const model::v1::SourceScripts& scripts,
                                             const model::v1::Vocabulary& source, const Tokenizer& tokenizer);

  // The share, 0 to 1, of the pieces that count which are the model's own; none where no piece counts. `source` are ids
  // of the vocabulary, specials among them.
  std::optional<double> Share(absl::Span<const TokenId> source) const;

 private:
  enum class Kind : std::uint8_t { kDoesNotCount, kOwn, kForeign };
  explicit ScriptCoverage(std::vector<Kind> kinds) : kinds_(std::move(kinds)) {}

  std::vector<Kind> kinds_;  // by id
};

}  // namespace heed
