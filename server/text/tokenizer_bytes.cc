#include "server/text/tokenizer_bytes.h"

#include <algorithm>
#include <string_view>

#include "engine/base/saturating.h"
#include "server/text/wire_fields.h"

namespace heed {
namespace {

// Bytes per entry and per byte of text, of all lists and maps together while they grow; a test holds them to what is
// allocated.
struct Cost {
  std::int64_t entry, byte;
};
constexpr Cost kPiece = {256, 6};        // of a list of pieces
constexpr Cost kMerge = {256, 4};        // of a list of merges
constexpr Cost kModelPiece = {384, 90};  // of a SentencePiece model: a trie has a node for each byte of text
constexpr std::int64_t kModelByte = 4;   // of a model's rest: its character rules
constexpr int kModelPieces = 1;          // number of the field

std::int64_t Sum(const Cost& cost, std::int64_t entries, std::int64_t bytes) {
  return SaturatingAdd(SaturatingMultiply(cost.entry, entries), SaturatingMultiply(cost.byte, bytes));
}

std::int64_t ModelBytes(std::string_view file) {
  std::int64_t pieces = 0, text = 0;
  WireFields fields(file);
  for (WireField field; fields.Next(&field);) {
    if (field.number != kModelPieces) continue;
    ++pieces;
    text += Saturated(field.bytes.size());
  }
  return SaturatingAdd(Sum(kModelPiece, pieces, text), SaturatingMultiply(kModelByte, Saturated(file.size()) - text));
}

}  // namespace

std::int64_t TokenizerBytes(const model::v1::Vocabulary& vocabulary, const std::map<std::string, std::string>& files) {
  const auto find = [&files](const std::string& name) {
    const auto found = files.find(name);
    return found == files.end() ? std::string_view() : std::string_view(found->second);
  };
  std::int64_t bytes = 0;
  if (const std::string_view list = find(vocabulary.pieces()); !list.empty()) {
    // Two quotes and a comma at least.
    const std::int64_t entries = std::min<std::int64_t>(vocabulary.size(), Saturated(list.size() / 3) + 1);
    bytes = SaturatingAdd(bytes, Sum(kPiece, entries, Saturated(list.size())));
  }
  for (const std::string* name : {&vocabulary.bpe().merges(), &vocabulary.opennmt().merges()}) {
    const std::string_view list = find(*name);
    bytes = SaturatingAdd(bytes, Sum(kMerge, std::count(list.begin(), list.end(), '\n') + 1, Saturated(list.size())));
  }
  return SaturatingAdd(bytes, ModelBytes(find(vocabulary.sentencepiece().file())));
}

}  // namespace heed
