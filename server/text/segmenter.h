// Cuts normalised text into pieces as SentencePiece does: unigram (Kudo 2018, the most probable segmentation) or BPE
// (Sennrich et al. 2016, best merge first). Scores are summed in SentencePiece's own order and precision, so that ties
// fall alike.
//
// Thread-safe: immutable after construction.
#pragma once

#include <string_view>
#include <vector>

#include "engine/base/types.h"
#include "server/text/piece_trie.h"
#include "server/text/sentencepiece_model.h"

namespace heed {

struct Segment {
  int size = 0;     // bytes; segments stand side by side and cover the text
  TokenId id = -1;  // -1: unknown, one code point
};

class Segmenter {
 public:
  // Keeps references: `model` and `symbols`, its user-defined pieces, must outlive it.
  Segmenter(const SentencePieceModel& model, const PieceTrie& symbols);

  // Takes time linear in the text (unigram) or n log n (BPE).
  std::vector<Segment> Run(std::string_view text) const;
  // The id of the piece that is text and spelt so; -1 when there is none.
  TokenId Find(std::string_view spelling) const { return pieces_.Find(spelling); }

 private:
  std::vector<Segment> Unigram(std::string_view text) const;
  std::vector<Segment> Bpe(std::string_view text) const;
  bool Is(TokenId id, SentencePieceModel::PieceType type) const { return model_.pieces[id].type == type; }

  const SentencePieceModel& model_;
  const PieceTrie& symbols_;
  const PieceTrie pieces_;  // all that are text
  float min_score_ = 0;     // of the normal pieces
  float max_score_ = 0;
};

}  // namespace heed
