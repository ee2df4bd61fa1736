// The Tokenizers of words between white space: whole, cut by the caller, or cut by subword-nmt's merges.
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

// Each word is a piece; pieces are joined by single spaces.
std::unique_ptr<Tokenizer> MakeWordTokenizer(PieceTable table);

// Each word is cut by `merges` of subword-nmt's flavour; `separator` (not empty) marks pieces that the next continues.
// split_unknown: pieces that `table` does not hold are cut again (BpeMerges::Cut).
std::unique_ptr<Tokenizer> MakeSubwordTokenizer(PieceTable table, BpeMerges merges, std::string separator,
                                                bool split_unknown);

}  // namespace heed
