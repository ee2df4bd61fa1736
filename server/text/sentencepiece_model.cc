#include "server/text/sentencepiece_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "server/text/tokenizer.h"
#include "server/text/wire_fields.h"

namespace heed {
namespace {

// Debian ships SentencePiece without its schema; the few fields that matter are read by number.
using Kind = WireField::Kind;
using PieceType = SentencePieceModel::PieceType;

constexpr int kModelPieces = 1, kModelTrainer = 2, kModelNormalizer = 3, kModelDenormalizer = 5;
constexpr int kPieceText = 1, kPieceScore = 2, kPieceType = 3;
constexpr int kTrainerModelType = 3, kTrainerSpaceAsSuffix = 24, kTrainerByteFallback = 35;
constexpr int kTrainerUnkSurface = 44, kTrainerBosPiece = 46, kTrainerEosPiece = 47;
constexpr int kNormalizerCharsmap = 2, kNormalizerDummyPrefix = 3, kNormalizerExtraSpaces = 4, kNormalizerEscape = 5;

constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;
constexpr std::size_t kMaxPieceBytes = 512;  // segmentation takes a text's length times the longest piece

// Adds the contents of each occurrence of a sub-message together, as a parser of the schema merges them.
std::string SubMessage(std::string_view message, int number) {
  std::string merged;
  WireFields fields(message);
  for (WireField field; fields.Next(&field);) {
    if (field.number == number && field.kind == Kind::kBytes) merged += field.bytes;
  }
  return merged;
}

// The last occurrence of a field of the right kind, if there is one.
std::optional<WireField> Last(std::string_view message, int number, Kind kind) {
  std::optional<WireField> last;
  WireFields fields(message);
  for (WireField field; fields.Next(&field);) {
    if (field.number == number && field.kind == kind) last = field;
  }
  return last;
}

std::int32_t Number(std::string_view message, int number, std::int32_t unset) {
  const std::optional<WireField> field = Last(message, number, Kind::kVarint);
  return field.has_value() ? static_cast<std::int32_t>(field->value) : unset;
}

bool Flag(std::string_view message, int number, bool unset) { return Number(message, number, unset ? 1 : 0) != 0; }

std::string_view Bytes(std::string_view message, int number, std::string_view unset = "") {
  const std::optional<WireField> field = Last(message, number, Kind::kBytes);
  return field.has_value() ? field->bytes : unset;
}

absl::StatusOr<SentencePieceModel::Piece> ReadPiece(std::string_view bytes, int id) {
  if (!IsWireMessage(bytes)) return absl::InvalidArgumentError(absl::StrCat("piece ", id, " is damaged"));
  const std::optional<WireField> score = Last(bytes, kPieceScore, Kind::kFixed32);
  const std::int32_t type = Number(bytes, kPieceType, static_cast<int>(PieceType::kNormal));
  const std::string_view text = Bytes(bytes, kPieceText);
  if (text.empty() || text.size() > kMaxPieceBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("piece ", id, " has ", text.size(), " bytes, 1 to ", kMaxPieceBytes, " are allowed"));
  }
  SentencePieceModel::Piece piece = {.text = std::string(text)};
  if (score.has_value()) piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(score->value));
  if (!IsValidUtf8(piece.text) || piece.text.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("piece ", id, " is not UTF-8 without NUL"));
  }
  if (!std::isfinite(piece.score)) {
    return absl::InvalidArgumentError(absl::StrCat("piece ", id, " has no finite score"));
  }
  if (type < static_cast<int>(PieceType::kNormal) || type > static_cast<int>(PieceType::kByte)) {
    return absl::InvalidArgumentError(absl::StrCat("piece ", id, " has type ", type, ", 1 to 6 are known"));
  }
  piece.type = static_cast<PieceType>(type);
  return piece;
}

absl::Status ReadPieces(std::string_view file, std::optional<int> size, SentencePieceModel* model) {
  std::size_t count = 0;
  WireFields counted(file);
  for (WireField field; counted.Next(&field);) {
    if (field.number == kModelPieces && field.kind == Kind::kBytes) ++count;
  }
  if (size.has_value() && count != static_cast<std::size_t>(*size)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model has ", count, " pieces, expected the vocabulary's size ", *size));
  }
  // A piece that is none ends the reading, so that no more is reserved than a file of such small ones can need.
  constexpr std::size_t kFewestBytes = 5;
  model->pieces.reserve(std::min(count, file.size() / kFewestBytes));
  WireFields fields(file);
  for (WireField field; fields.Next(&field);) {
    if (field.number != kModelPieces || field.kind != Kind::kBytes) continue;
    HEED_ASSIGN_OR_RETURN(SentencePieceModel::Piece piece,
                          ReadPiece(field.bytes, static_cast<int>(model->pieces.size())));
    model->pieces.push_back(std::move(piece));
  }
  return absl::OkStatus();
}

// Finds the pieces with a job of their own.
absl::Status ReadSpecials(std::string_view trainer, SentencePieceModel* model) {
  absl::flat_hash_map<std::string_view, TokenId> ids;
  ids.reserve(model->pieces.size());
  for (std::size_t id = 0; id < model->pieces.size(); ++id) {
    const SentencePieceModel::Piece& piece = model->pieces[id];
    const auto [earlier, is_new] = ids.emplace(piece.text, static_cast<TokenId>(id));
    if (!is_new) {
      return absl::InvalidArgumentError(absl::StrCat("piece ", id, " is spelt like piece ", earlier->second));
    }
    if (piece.type == PieceType::kUnknown && std::exchange(model->unk_id, static_cast<TokenId>(id)) >= 0) {
      return absl::InvalidArgumentError(absl::StrCat("piece ", id, " is a second unknown piece"));
    }
    if (piece.type == PieceType::kByte && !model->byte_fallback) {
      return absl::InvalidArgumentError(absl::StrCat("piece ", id, " is a byte in a model without byte fallback"));
    }
  }
  if (model->unk_id < 0) return absl::InvalidArgumentError("the model has no unknown piece");
  const auto find = [&](std::string_view text, PieceType type) {
    const auto found = ids.find(text);
    return found == ids.end() || model->pieces[found->second].type != type ? TokenId{-1} : found->second;
  };
  model->bos_id = find(Bytes(trainer, kTrainerBosPiece, "<s>"), PieceType::kControl);
  model->eos_id = find(Bytes(trainer, kTrainerEosPiece, "</s>"), PieceType::kControl);
  std::size_t bytes = 0;
  for (int byte = 0; model->byte_fallback && byte < 256; ++byte) {
    const std::string spelling = absl::StrFormat("<0x%02X>", byte);
    model->byte_ids[byte] = find(spelling, PieceType::kByte);
    if (model->byte_ids[byte] < 0) {
      return absl::InvalidArgumentError(absl::StrCat("the model falls back to bytes but has no piece ", spelling));
    }
    ++bytes;
  }
  const auto is_byte = [](const SentencePieceModel::Piece& piece) { return piece.type == PieceType::kByte; };
  if (std::count_if(model->pieces.begin(), model->pieces.end(), is_byte) != static_cast<std::ptrdiff_t>(bytes)) {
    return absl::InvalidArgumentError("a byte piece is not spelt as one of <0x00> to <0xFF>");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SentencePieceModel> ReadSentencePieceModel(std::string_view file, std::optional<int> size) {
  if (file.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the model has ", file.size(), " bytes, at most ", kMaxFileBytes));
  }
  const std::string trainer = SubMessage(file, kModelTrainer), normalizer = SubMessage(file, kModelNormalizer),
                    denormalizer = SubMessage(file, kModelDenormalizer);
  if (!IsWireMessage(file) || !IsWireMessage(trainer) || !IsWireMessage(normalizer) || !IsWireMessage(denormalizer)) {
    return absl::InvalidArgumentError("not a SentencePiece model");
  }
  SentencePieceModel model;
  const std::int32_t kind = Number(trainer, kTrainerModelType, static_cast<int>(SentencePieceModel::Kind::kUnigram));
  model.kind = static_cast<SentencePieceModel::Kind>(kind);
  if (model.kind != SentencePieceModel::Kind::kUnigram && model.kind != SentencePieceModel::Kind::kBpe) {
    return absl::InvalidArgumentError(absl::StrCat("model type ", kind, " is not unigram (1) or BPE (2)"));
  }
  if (!Flag(normalizer, kNormalizerEscape, true)) {
    return absl::InvalidArgumentError("models that do not escape spaces are not supported");
  }
  if (!Bytes(denormalizer, kNormalizerCharsmap).empty()) {
    return absl::InvalidArgumentError("models with denormalisation rules are not supported");
  }
  model.byte_fallback = Flag(trainer, kTrainerByteFallback, false);
  model.whitespace_as_suffix = Flag(trainer, kTrainerSpaceAsSuffix, false);
  model.unk_surface = Bytes(trainer, kTrainerUnkSurface, " \xE2\x81\x87 ");
  model.unk_surface.resize(std::min(model.unk_surface.size(), model.unk_surface.find('\0')));  // as the library
  if (!IsValidUtf8(model.unk_surface)) return absl::InvalidArgumentError("the unknown piece's text is not UTF-8");
  model.add_dummy_prefix = Flag(normalizer, kNormalizerDummyPrefix, true);
  model.remove_extra_whitespaces = Flag(normalizer, kNormalizerExtraSpaces, true);
  HEED_RETURN_IF_ERROR(ReadPieces(file, size, &model));
  HEED_RETURN_IF_ERROR(ReadSpecials(trainer, &model));
  HEED_ASSIGN_OR_RETURN(model.charsmap, Charsmap::Parse(Bytes(normalizer, kNormalizerCharsmap)));
  return model;
}

}  // namespace heed
