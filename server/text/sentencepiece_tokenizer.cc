#include "server/text/sentencepiece_tokenizer.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/text/normalizer.h"
#include "server/text/piece_trie.h"
#include "server/text/ranges.h"
#include "server/text/segmenter.h"
#include "server/text/sentencepiece_model.h"
#include "server/text/text_decoder.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

using PieceType = SentencePieceModel::PieceType;

constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

PieceTrie UserDefinedSymbols(const SentencePieceModel& model) {
  std::vector<std::pair<std::string_view, TokenId>> entries;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const SentencePieceModel::Piece& piece = model.pieces[id];
    if (piece.type == PieceType::kUserDefined) entries.emplace_back(piece.text, static_cast<TokenId>(id));
  }
  return PieceTrie(std::move(entries));
}

// "<0x41>": the spelling of a byte piece. -1 when `text` is none.
int ByteOf(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const std::size_t high = kDigits.find(text[3]), low = kDigits.find(text[4]);
  if (high == std::string_view::npos || low == std::string_view::npos) return -1;
  return static_cast<int>(high * 16 + low);
}

// The pieces of a vocabulary of its own, as `model` would have them.
std::vector<SentencePieceModel::Piece> ListedPieces(const SentencePieceModel& model, const PieceTable& table) {
  std::vector<SentencePieceModel::Piece> pieces(static_cast<std::size_t>(table.size()));
  for (TokenId id = 0; id < table.size(); ++id) {
    SentencePieceModel::Piece& piece = pieces[static_cast<std::size_t>(id)];
    piece.text = table.Piece(id);
    if (id == table.unk_id()) {
      piece.type = PieceType::kUnknown;
    } else if (table.IsSpecial(id)) {
      piece.type = PieceType::kControl;
    } else if (model.byte_fallback && ByteOf(piece.text) >= 0) {
      piece.type = PieceType::kByte;
    }
  }
  return pieces;
}

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(SentencePieceModel model, std::optional<PieceTable> table)
      : model_(std::move(model)),
        table_(std::move(table)),
        listed_(table_.has_value() ? ListedPieces(model_, *table_) : std::vector<SentencePieceModel::Piece>()),
        pieces_(table_.has_value() ? listed_ : model_.pieces),
        unk_id_(table_.has_value() ? table_->unk_id() : model_.unk_id),
        symbols_(UserDefinedSymbols(model_)),
        normalizer_(model_, symbols_),
        segmenter_(model_, symbols_) {}

  EncodedText Encode(std::string_view text) const override;
  std::unique_ptr<TextDecoder> StartDecoding() const override;
  std::optional<TokenId> Find(std::string_view spelling) const override;
  std::string_view Piece(TokenId id) const override { return Known(id).text; }
  bool IsSpecial(TokenId id) const override { return Known(id).type == PieceType::kControl; }
  bool IsByte(TokenId id) const override { return Known(id).type == PieceType::kByte; }

 private:
  class Decoder;

  const SentencePieceModel::Piece& Known(TokenId id) const {
    const bool known = id >= 0 && static_cast<std::size_t>(id) < pieces_.size();
    return pieces_[static_cast<std::size_t>(known ? id : unk_id_)];
  }
  void EncodeBytes(std::string_view bytes, ByteRange range, EncodedText* encoded) const;
  // What a piece that is neither a byte nor special adds to a decoded text; `first`: no word has begun yet. Sets
  // `*begins_word` when it took a "▁" off the beginning.
  std::string Surface(const SentencePieceModel::Piece& piece, bool first, bool* begins_word) const;
  // The same for a given token: of its spelling only the "▁" around it count.
  std::string Surface(const GivenToken& given, bool first, bool* begins_word) const;

  // The later members refer to the earlier ones.
  const SentencePieceModel model_;
  const std::optional<PieceTable> table_;
  const std::vector<SentencePieceModel::Piece> listed_;   // of the table, if there is one
  const std::vector<SentencePieceModel::Piece>& pieces_;  // by the vocabulary's ids
  const TokenId unk_id_;                                  // the vocabulary's
  const PieceTrie symbols_;
  const Normalizer normalizer_;
  const Segmenter segmenter_;
};

void SentencePieceTokenizer::EncodeBytes(std::string_view bytes, ByteRange range, EncodedText* encoded) const {
  for (char byte : bytes) {
    encoded->ids.push_back(model_.byte_ids[static_cast<std::uint8_t>(byte)]);
    encoded->ranges.push_back(range);
    encoded->spellings.push_back(model_.pieces[encoded->ids.back()].text);
  }
}

EncodedText SentencePieceTokenizer::Encode(std::string_view text) const {
  const NormalizedText normalized = normalizer_.Normalize(text);
  const std::vector<Segment> segments = segmenter_.Run(normalized.text);
  std::vector<ByteRange> units = normalized.units;
  CoverText(text, &units);
  const bool no_units = std::all_of(units.begin(), units.end(), [](ByteRange unit) { return unit.begin == unit.end; });
  EncodedText encoded;
  encoded.ids.reserve(segments.size());
  encoded.ranges.reserve(segments.size());
  encoded.spellings.reserve(segments.size());
  // Where no unit is left to own the text (nothing but deleted characters), its pieces share all of it.
  const ByteRange unowned = no_units ? TrimWhiteSpace(text, {0, static_cast<int>(text.size())}) : ByteRange{};
  std::size_t position = 0;  // in normalized.text
  bool after_unknown = false;
  for (const Segment& segment : segments) {
    ByteRange range = unowned;
    const std::size_t begin = position;
    for (; position < begin + segment.size; ++position) {
      const int unit = normalized.unit[position];
      if (unit < 0 || units[unit].begin == units[unit].end) continue;
      if (range.begin == range.end) range.begin = units[unit].begin;
      range.end = units[unit].end;
    }
    const bool unknown = segment.id < 0;
    const std::string_view spelling = std::string_view(normalized.text).substr(begin, segment.size);
    if (unknown && model_.byte_fallback) {
      EncodeBytes(spelling, range, &encoded);
    } else if (unknown && after_unknown) {  // unknown characters side by side are one unknown
      ByteRange& last = encoded.ranges.back();
      if (last.begin == last.end) last = range;
      if (range.begin < range.end) last.end = range.end;
      encoded.spellings.back() += spelling;
    } else {
      encoded.ids.push_back(unknown ? model_.unk_id : segment.id);
      encoded.ranges.push_back(range);
      encoded.spellings.emplace_back(spelling);
    }
    after_unknown = unknown;
  }
  PlaceEmptyRanges(std::vector<bool>(encoded.ranges.size(), true), &encoded.ranges);
  for (std::size_t i = 0; table_.has_value() && i < encoded.ids.size(); ++i) {
    encoded.ids[i] = table_->Find(encoded.spellings[i]).value_or(unk_id_);
  }
  return encoded;
}

std::optional<TokenId> SentencePieceTokenizer::Find(std::string_view spelling) const {
  if (table_.has_value()) return table_->Find(spelling);
  if (const TokenId id = segmenter_.Find(spelling); id >= 0) return id;
  const int byte = model_.byte_fallback ? ByteOf(spelling) : -1;
  if (byte < 0) return std::nullopt;
  return model_.byte_ids[static_cast<std::size_t>(byte)];
}

std::string SentencePieceTokenizer::Surface(const SentencePieceModel::Piece& piece, bool first,
                                            bool* begins_word) const {
  *begins_word = false;
  if (piece.type == PieceType::kUnknown) return model_.unk_surface;
  std::string_view text = piece.text;
  if (first && (model_.add_dummy_prefix || model_.remove_extra_whitespaces) && text.starts_with(kSpaceSymbol)) {
    text.remove_prefix(kSpaceSymbol.size());
    // A model that removes extra spaces removes all that begin the text.
    *begins_word = !model_.remove_extra_whitespaces;
  }
  std::string surface;
  for (std::size_t i = 0; i < text.size();) {
    const bool space = text.substr(i).starts_with(kSpaceSymbol);
    surface.push_back(space ? ' ' : text[i]);
    i += space ? kSpaceSymbol.size() : 1;
  }
  return surface;
}

std::string SentencePieceTokenizer::Surface(const GivenToken& given, bool first, bool* begins_word) const {
  SentencePieceModel::Piece mark;
  std::string_view spelling = given.spelling;
  if (spelling.starts_with(kSpaceSymbol)) {
    mark.text = kSpaceSymbol;
    spelling.remove_prefix(kSpaceSymbol.size());
  }
  std::string surface = Surface(mark, first, begins_word);
  surface += given.text;
  if (spelling.ends_with(kSpaceSymbol)) surface += ' ';
  return surface;
}

// Whether bytes that follow could make these, which are not empty, a character's beginning into a character.
bool MayBecomeCharacter(std::string_view bytes) {
  constexpr std::size_t kLongest = 4;
  for (const char continuation : {'\x80', '\xBF'}) {  // the least and the greatest
    std::string longer(bytes);
    while (longer.size() < kLongest) {
      longer.push_back(continuation);
      if (IsValidUtf8(longer)) return true;
    }
  }
  return false;
}

class SentencePieceTokenizer::Decoder : public TextDecoder {
 public:
  explicit Decoder(const SentencePieceTokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void Add(TokenId id) override {
    const SentencePieceModel::Piece& piece = tokenizer_.Known(id);
    if (piece.type == PieceType::kByte) {
      bytes_.push_back(static_cast<char>(ByteOf(piece.text)));
      AppendCharacters(/*more=*/true);
      return;
    }
    BeginPiece();
    if (piece.type == PieceType::kControl) {
      begins_word_ = false;
      AppendSpecial();
    } else {
      Append(tokenizer_.Surface(piece, first_, &begins_word_));
    }
  }
  void Add(const GivenToken& given) override {
    BeginPiece();
    Append(tokenizer_.Surface(given, first_, &begins_word_));
  }

 private:
  void Flush() override { AppendCharacters(/*more=*/false); }

  void BeginPiece() {
    AppendCharacters(/*more=*/false);
    if (begins_word_ || !decoded().text.empty()) first_ = false;
  }

  // Writes the bytes held back, but for those to which `more` bytes may come.
  void AppendCharacters(bool more) {
    std::string_view left = bytes_;
    while (!left.empty()) {
      const std::string_view character = left.substr(0, static_cast<std::size_t>(CodePointAt(left, 0).size));
      const bool valid = IsValidUtf8(character);
      if (!valid && more && MayBecomeCharacter(left)) break;
      Append(valid ? character : kReplacementCharacter, character.size());
      left.remove_prefix(character.size());
    }
    bytes_.erase(0, bytes_.size() - left.size());
  }

  const SentencePieceTokenizer& tokenizer_;
  std::string bytes_;  // of byte pieces, not written yet
  bool first_ = true;  // no word has begun yet
  bool begins_word_ = false;
};

std::unique_ptr<TextDecoder> SentencePieceTokenizer::StartDecoding() const { return std::make_unique<Decoder>(*this); }

absl::Status CheckSpecial(std::string_view field, TokenId id, const SentencePieceModel& model,
                          std::vector<TokenId> allowed) {
  const bool known = id >= 0 && static_cast<std::size_t>(id) < model.pieces.size();
  if (!known || model.pieces[id].type != PieceType::kControl) {
    return absl::InvalidArgumentError(absl::StrCat(std::string(field), " ", id, " is no control piece of the model"));
  }
  if (allowed[0] >= 0 && std::find(allowed.begin(), allowed.end(), id) == allowed.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(field), " is ", id, " but that piece of the model is ", allowed[0]));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeSentencePieceTokenizer(const model::v1::Vocabulary& vocabulary,
                                                                      std::string_view file,
                                                                      std::optional<PieceTable> table) {
  const std::optional<int> size = table.has_value() ? std::nullopt : std::optional<int>(vocabulary.size());
  HEED_ASSIGN_OR_RETURN(SentencePieceModel model, ReadSentencePieceModel(file, size));
  if (table.has_value()) return std::make_unique<SentencePieceTokenizer>(std::move(model), std::move(table));
  if (vocabulary.unk_id() != model.unk_id) {
    return absl::InvalidArgumentError(
        absl::StrCat("unk_id is ", vocabulary.unk_id(), " but the model's unknown piece is ", model.unk_id));
  }
  if (vocabulary.has_bos_id()) {
    HEED_RETURN_IF_ERROR(CheckSpecial("bos_id", vocabulary.bos_id(), model, {model.bos_id, model.eos_id}));
  }
  if (vocabulary.has_eos_id()) {
    HEED_RETURN_IF_ERROR(CheckSpecial("eos_id", vocabulary.eos_id(), model, {model.eos_id}));
  }
  for (const TokenId id : vocabulary.special_ids()) {
    HEED_RETURN_IF_ERROR(CheckSpecial("special_ids", id, model, {-1}));
  }
  return std::make_unique<SentencePieceTokenizer>(std::move(model), std::nullopt);
}

}  // namespace heed
