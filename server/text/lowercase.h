// Lower-casing as Python's str.lower does it: Unicode's default mapping in full, "İ" to two code points, and "Σ" to "ς"
// where it ends a word (after a cased letter and before none, case-ignorable characters aside).
//
// Thread-safe: functions only.
#pragma once

#include <memory>
#include <string_view>

#include "server/text/derived_text.h"
#include "server/text/tokenizer.h"

namespace heed {

// `text` must be valid UTF-8. Takes time linear in it.
DerivedText Lowercase(std::string_view text);

// `inner` for texts that are lower-cased first: the ranges are those of the text as it was typed. Immutable if it is.
std::unique_ptr<Tokenizer> MakeLowercasingTokenizer(std::unique_ptr<Tokenizer> inner);

}  // namespace heed
