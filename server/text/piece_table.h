// A vocabulary given as a list: what the piece of an id is, which id a piece has, which ids are no text.
//
// Thread-safe: immutable after Make.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/base/types.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

class PieceTable {
 public:
  // `json` is the file that vocabulary.pieces names. INVALID_ARGUMENT in one line without the file's name.
  static absl::StatusOr<PieceTable> Make(const model::v1::Vocabulary& vocabulary, std::string_view json);

  int size() const { return static_cast<int>(pieces_.size()); }
  TokenId unk_id() const { return unk_id_; }
  // The piece of an id; of one outside the vocabulary the unknown piece.
  std::string_view Piece(TokenId id) const { return pieces_[static_cast<std::size_t>(IsKnown(id) ? id : unk_id_)]; }
  // bos, eos and special_ids.
  bool IsSpecial(TokenId id) const { return IsKnown(id) && special_[static_cast<std::size_t>(id)]; }
  // The lowest id that has this piece and is neither special nor the unknown piece.
  std::optional<TokenId> Find(std::string_view piece) const;

  PieceTable(PieceTable&&) = default;
  PieceTable& operator=(PieceTable&&) = default;

 private:
  PieceTable() = default;
  bool IsKnown(TokenId id) const { return id >= 0 && id < size(); }

  std::vector<std::string> pieces_;
  std::vector<bool> special_;
  absl::flat_hash_map<std::string_view, TokenId> ids_;  // views of pieces_
  TokenId unk_id_ = 0;
};

}  // namespace heed
