#include "server/text/segmenter.h"

#include <algorithm>
#include <cfloat>
#include <cstddef>
#include <utility>

namespace heed {
namespace {

std::vector<std::pair<std::string_view, TokenId>> TextPieces(const SentencePieceModel& model) {
  std::vector<std::pair<std::string_view, TokenId>> entries;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].IsText()) entries.emplace_back(model.pieces[id].text, static_cast<TokenId>(id));
  }
  return entries;
}

}  // namespace

Segmenter::Segmenter(const SentencePieceModel& model, const PieceTrie& symbols)
    : model_(model), symbols_(symbols), pieces_(TextPieces(model)), min_score_(FLT_MAX), max_score_(FLT_MIN) {
  for (const SentencePieceModel::Piece& piece : model.pieces) {
    if (piece.type != SentencePieceModel::PieceType::kNormal) continue;
    min_score_ = std::min(min_score_, piece.score);
    max_score_ = std::max(max_score_, piece.score);
  }
}

std::vector<Segment> Segmenter::Run(std::string_view text) const {
  if (text.empty()) return {};
  return model_.kind == SentencePieceModel::Kind::kBpe ? Bpe(text) : Unigram(text);
}

}  // namespace heed
