// The Tokenizer of characters: each code point is a piece, a space the piece that stands for one.
//
// Thread-safe: immutable after construction.
#pragma once

#include <memory>
#include <string>

#include "server/text/piece_table.h"
#include "server/text/tokenizer.h"

namespace heed {

// `space` is the piece of " " (of no other white space). White space at the ends of a text is left out. A character of
// the text that is spelt like a `space` other than " " is unknown.
std::unique_ptr<Tokenizer> MakeCharacterTokenizer(PieceTable table, std::string space);

}  // namespace heed
