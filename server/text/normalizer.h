// SentencePiece's normalisation, with the bytes of the text that each byte of the normalised text came from.
//
// Thread-safe: immutable after construction.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/text/piece_trie.h"
#include "server/text/sentencepiece_model.h"
#include "server/text/tokenizer.h"

namespace heed {

// A text as it is segmented. A "▁" of the text itself that no rule changes is, in `text`, one like any other, as it is
// to SentencePiece: what nmt_nfkc makes of it is a space, and so, to the pieces, is what other rules leave of it.
//
// Units are the smallest runs of the text that the rules replace as a whole: mostly one code point each, several where
// the rules compose them. Units that leave nothing but spaces, or nothing at all, are not listed.
struct NormalizedText {
  std::string text;
  std::vector<int> unit;         // per byte of `text`: index of its unit; -1 for a byte of "▁" that stands for space
  std::vector<ByteRange> units;  // of the original text, in order, without overlaps
};

class Normalizer {
 public:
  // Keeps references: `model` and `symbols`, its user-defined pieces, must outlive it.
  Normalizer(const SentencePieceModel& model, const PieceTrie& symbols) : model_(model), symbols_(symbols) {}

  // `text` must be valid UTF-8. Takes time linear in it.
  NormalizedText Normalize(std::string_view text) const;

 private:
  struct Step {
    int size = 0;             // bytes of the text
    std::string_view output;  // what they become
  };
  Step Next(std::string_view text) const;

  const SentencePieceModel& model_;
  const PieceTrie& symbols_;  // kept as they are, whatever the rules say
};

}  // namespace heed
