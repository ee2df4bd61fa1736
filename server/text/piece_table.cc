#include "server/text/piece_table.h"

#include <utility>

#include "engine/base/status_macros.h"
#include "server/text/string_array.h"

namespace heed {

absl::StatusOr<PieceTable> PieceTable::Make(const model::v1::Vocabulary& vocabulary, std::string_view json) {
  PieceTable table;
  HEED_ASSIGN_OR_RETURN(table.pieces_, ParseStringArray(json, vocabulary.size()));
  table.unk_id_ = vocabulary.unk_id();
  table.special_.resize(table.pieces_.size());
  const auto set_special = [&](TokenId id) {
    if (table.IsKnown(id)) table.special_[static_cast<std::size_t>(id)] = true;
  };
  if (vocabulary.has_bos_id()) set_special(vocabulary.bos_id());
  if (vocabulary.has_eos_id()) set_special(vocabulary.eos_id());
  for (const TokenId id : vocabulary.special_ids()) set_special(id);
  table.ids_.reserve(table.pieces_.size());
  for (TokenId id = 0; id < table.size(); ++id) {
    if (id != table.unk_id_ && !table.IsSpecial(id)) table.ids_.emplace(table.Piece(id), id);
  }
  return table;
}

std::optional<TokenId> PieceTable::Find(std::string_view piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? std::nullopt : std::optional<TokenId>(found->second);
}

}  // namespace heed
