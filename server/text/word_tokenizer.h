// The Tokenizers of words between spaces: whole, cut by the caller, or cut by subword-nmt's merges.
//
// Ids are those of the toolkits' own look-ups, but for one thing: the last piece of a word that ends in the separator
// ("@@") is unknown, where a toolkit takes it for a piece that the next word continues.
//
// Thread-safe: immutable after construction.
#pragma once

#include <memory>
#include <string>

#include "server/text/bpe_merges.h"
#include "server/text/piece_table.h"
#include "server/text/tokenizer.h"

namespace heed {

// Each run without White_Space is a piece; pieces are joined by single spaces.
std::unique_ptr<Tokenizer> MakeWordTokenizer(PieceTable table);

// Each word, which U+0020 and the ends of lines part and nothing else (U+00A0 is in a word, as it is for subword-nmt),
// is cut by `merges` of subword-nmt's flavour; `separator` (not empty) marks pieces that the next continues.
// split_unknown: pieces that `table` does not hold are cut again (BpeMerges::Cut).
std::unique_ptr<Tokenizer> MakeSubwordTokenizer(PieceTable table, BpeMerges merges, std::string separator,
                                                bool split_unknown);

}  // namespace heed
