#include <algorithm>
#include <cstddef>

#include "server/text/segmenter.h"
#include "server/text/utf8.h"

namespace heed {

using PieceType = SentencePieceModel::PieceType;

std::vector<Segment> Segmenter::Unigram(std::string_view text) const {
  constexpr float kUnknownPenalty = 10;
  struct Best {  // the best segmentation that ends at a byte
    float score = 0;
    int begin = -1;  // of its last segment
    TokenId id = -1;
  };
  std::vector<Best> best(text.size() + 1);
  const auto offer = [&best](std::size_t begin, std::size_t end, double score, TokenId id) {
    Best& at = best[end];
    // Compared before it is rounded to float, as SentencePiece does.
    if (at.begin == -1 || score > at.score) at = {static_cast<float>(score), static_cast<int>(begin), id};
  };
  const float unknown_score = min_score_ - kUnknownPenalty;
  for (std::size_t begin = 0, next = 0; begin < text.size(); begin = next) {
    next = begin + CodePointAt(text, begin).size;
    const float score = best[begin].score;
    bool has_single = false;
    int node = PieceTrie::kRoot;
    for (std::size_t end = begin; end < text.size();) {
      node = pieces_.Next(node, text[end]);
      if (node < 0) break;
      ++end;
      const TokenId id = pieces_.Id(node);
      if (id < 0 || Is(id, PieceType::kUnused)) continue;
      const float bonus = static_cast<float>(end - begin) * max_score_;
      // A user-defined symbol outdoes whatever it could be cut into.
      const double own = Is(id, PieceType::kUserDefined) ? bonus - 0.1 : model_.pieces[id].score;
      offer(begin, end, own + score, id);
      has_single = has_single || end == next;
    }
    if (!has_single) offer(begin, next, unknown_score + score, -1);
  }
  std::vector<Segment> segments;
  for (int end = static_cast<int>(text.size()); end > 0; end = best[end].begin) {
    segments.push_back({.size = end - best[end].begin, .id = best[end].id});
  }
  std::reverse(segments.begin(), segments.end());
  return segments;
}

}  // namespace heed
