#include "server/text/sentencepiece_model.h"

#include <google/protobuf/unknown_field_set.h>

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

namespace heed {
namespace {

// Debian ships SentencePiece without its schema; the few fields that matter are read by number.
using Fields = google::protobuf::UnknownFieldSet;
using Field = google::protobuf::UnknownField;
using PieceType = SentencePieceModel::PieceType;

constexpr int kModelPieces = 1, kModelTrainer = 2, kModelNormalizer = 3, kModelDenormalizer = 5;
constexpr int kPieceText = 1, kPieceScore = 2, kPieceType = 3;
constexpr int kTrainerModelType = 3, kTrainerSpaceAsSuffix = 24, kTrainerByteFallback = 35;
constexpr int kTrainerUnkSurface = 44, kTrainerBosPiece = 46, kTrainerEosPiece = 47;
constexpr int kNormalizerCharsmap = 2, kNormalizerDummyPrefix = 3, kNormalizerExtraSpaces = 4, kNormalizerEscape = 5;

constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;
constexpr std::size_t kMaxPieceBytes = 512;  // segmentation takes a text's length times the longest piece

bool Parse(std::string_view bytes, Fields* fields) {
  return fields->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// A sub-message that occurs several times is merged, as a parser of the schema does it.
bool SubMessage(const Fields& fields, int number, Fields* message) {
  std::string merged;
  for (int i = 0; i < fields.field_count(); ++i) {
    const Field& field = fields.field(i);
    if (field.number() == number && field.type() == Field::TYPE_LENGTH_DELIMITED) merged += field.length_delimited();
  }
  return Parse(merged, message);
}

// The last occurrence of a field of the right type; nullptr when there is none.
const Field* Last(const Fields& fields, int number, Field::Type type) {
  for (int i = fields.field_count(); i-- > 0;) {
    if (fields.field(i).number() == number && fields.field(i).type() == type) return &fields.field(i);
  }
  return nullptr;
}

std::int32_t Number(const Fields& fields, int number, std::int32_t unset) {
  const Field* field = Last(fields, number, Field::TYPE_VARINT);
  return field == nullptr ? unset : static_cast<std::int32_t>(field->varint());
}

bool Flag(const Fields& fields, int number, bool unset) { return Number(fields, number, unset ? 1 : 0) != 0; }

std::string Bytes(const Fields& fields, int number, std::string_view unset = "") {
  const Field* field = Last(fields, number, Field::TYPE_LENGTH_DELIMITED);
  return field == nullptr ? std::string(unset) : field->length_delimited();
}

absl::StatusOr<SentencePieceModel::Piece> ReadPiece(const std::string& bytes, int id) {
  Fields fields;
  if (!Parse(bytes, &fields)) return absl::InvalidArgumentError(absl::StrCat("piece ", id, " is damaged"));
  const Field* score = Last(fields, kPieceScore, Field::TYPE_FIXED32);
  const std::int32_t type = Number(fields, kPieceType, static_cast<int>(PieceType::kNormal));
  SentencePieceModel::Piece piece = {.text = Bytes(fields, kPieceText),
                                     .score = score == nullptr ? 0 : std::bit_cast<float>(score->fixed32())};
  if (piece.text.empty() || piece.text.size() > kMaxPieceBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("piece ", id, " has ", piece.text.size(), " bytes, 1 to ", kMaxPieceBytes, " are allowed"));
  }
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

absl::Status ReadPieces(const Fields& fields, std::optional<int> size, SentencePieceModel* model) {
  std::vector<const std::string*> pieces;
  for (int i = 0; i < fields.field_count(); ++i) {
    const Field& field = fields.field(i);
    if (field.number() == kModelPieces && field.type() == Field::TYPE_LENGTH_DELIMITED) {
      pieces.push_back(&field.length_delimited());
    }
  }
  if (size.has_value() && pieces.size() != static_cast<std::size_t>(*size)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model has ", pieces.size(), " pieces, expected the vocabulary's size ", *size));
  }
  model->pieces.reserve(pieces.size());
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    HEED_ASSIGN_OR_RETURN(SentencePieceModel::Piece piece, ReadPiece(*pieces[id], static_cast<int>(id)));
    model->pieces.push_back(std::move(piece));
  }
  return absl::OkStatus();
}

// Finds the pieces with a job of their own.
absl::Status ReadSpecials(const Fields& trainer, SentencePieceModel* model) {
  absl::flat_hash_map<std::string_view, TokenId> ids;
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
  const auto find = [&](const std::string& text, PieceType type) {
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
  Fields fields, trainer, normalizer, denormalizer;
  if (!Parse(file, &fields) || !SubMessage(fields, kModelTrainer, &trainer) ||
      !SubMessage(fields, kModelNormalizer, &normalizer) || !SubMessage(fields, kModelDenormalizer, &denormalizer)) {
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
  model.unk_surface = Bytes(trainer, kTrainerUnkSurface, " \xE2\x81\x87 ").c_str();  // up to a NUL, as the library
  if (!IsValidUtf8(model.unk_surface)) return absl::InvalidArgumentError("the unknown piece's text is not UTF-8");
  model.add_dummy_prefix = Flag(normalizer, kNormalizerDummyPrefix, true);
  model.remove_extra_whitespaces = Flag(normalizer, kNormalizerExtraSpaces, true);
  HEED_RETURN_IF_ERROR(ReadPieces(fields, size, &model));
  HEED_RETURN_IF_ERROR(ReadSpecials(trainer, &model));
  HEED_ASSIGN_OR_RETURN(model.charsmap, Charsmap::Parse(Bytes(normalizer, kNormalizerCharsmap)));
  return model;
}

}  // namespace heed
