#include "server/text/tokenizer.h"

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/text/bpe_merges.h"
#include "server/text/character_tokenizer.h"
#include "server/text/lowercase.h"
#include "server/text/opennmt_tokenizer.h"
#include "server/text/piece_table.h"
#include "server/text/sentencepiece_tokenizer.h"
#include "server/text/text_decoder.h"
#include "server/text/word_tokenizer.h"

namespace heed {
namespace {

using model::v1::Vocabulary;
using Files = std::map<std::string, std::string>;
using MadeTokenizer = absl::StatusOr<std::unique_ptr<Tokenizer>>;

// `read` of the bytes of the bundle's file `name`; its error gets the name in front.
template <typename Read>
auto ReadFile(const Files& files, const std::string& name, Read read) -> decltype(read(std::string_view())) {
  const auto file = files.find(name);
  if (file == files.end()) {
    return absl::InvalidArgumentError(absl::StrCat("model.json: tokenizer file \"", name, "\" is not in the bundle"));
  }
  auto made = read(std::string_view(file->second));
  if (made.ok()) return made;
  return absl::Status(made.status().code(), absl::StrCat(name, ": ", made.status().message()));
}

absl::StatusOr<PieceTable> ReadPieces(const Vocabulary& vocabulary, const Files& files) {
  return ReadFile(files, vocabulary.pieces(),
                  [&](std::string_view file) { return PieceTable::Make(vocabulary, file); });
}

absl::StatusOr<BpeMerges> ReadMerges(const std::string& name, const Files& files, BpeMerges::Flavor flavor) {
  return ReadFile(files, name, [&](std::string_view file) { return BpeMerges::Parse(file, flavor); });
}

MadeTokenizer MakeFromModel(const Vocabulary& vocabulary, const Files& files) {
  std::optional<PieceTable> table;
  if (!vocabulary.pieces().empty()) {
    HEED_ASSIGN_OR_RETURN(table, ReadPieces(vocabulary, files));
  }
  return ReadFile(files, vocabulary.sentencepiece().file(), [&](std::string_view file) {
    return MakeSentencePieceTokenizer(vocabulary, file, std::move(table));
  });
}

MadeTokenizer MakeFromMerges(const Vocabulary& vocabulary, const Files& files) {
  const model::v1::SubwordBpe& bpe = vocabulary.bpe();
  HEED_ASSIGN_OR_RETURN(PieceTable table, ReadPieces(vocabulary, files));
  HEED_ASSIGN_OR_RETURN(BpeMerges merges, ReadMerges(bpe.merges(), files, BpeMerges::Flavor::kSubwordNmt));
  return MakeSubwordTokenizer(std::move(table), std::move(merges), bpe.separator().empty() ? "@@" : bpe.separator(),
                              bpe.split_unknown());
}

MadeTokenizer MakeOpenNmt(const Vocabulary& vocabulary, const Files& files) {
  const model::v1::OpenNmtTokenizer& spec = vocabulary.opennmt();
  HEED_ASSIGN_OR_RETURN(PieceTable table, ReadPieces(vocabulary, files));
  OpenNmtOptions options = {.mode = spec.mode(), .spacer = spec.spacer_annotate()};
  options.mark = !spec.mark().empty() ? spec.mark() : options.spacer ? "▁" : "￭";
  if (!spec.merges().empty()) {
    HEED_ASSIGN_OR_RETURN(options.merges, ReadMerges(spec.merges(), files, BpeMerges::Flavor::kOpenNmt));
  }
  return MakeOpenNmtTokenizer(std::move(table), std::move(options));
}

MadeTokenizer MakeCased(const Vocabulary& vocabulary, const Files& files) {
  switch (vocabulary.tokenizer_case()) {
    case Vocabulary::kSentencepiece:
      return MakeFromModel(vocabulary, files);
    case Vocabulary::kBpe:
      return MakeFromMerges(vocabulary, files);
    case Vocabulary::kOpennmt:
      return MakeOpenNmt(vocabulary, files);
    case Vocabulary::kWords:
    case Vocabulary::kPretokenized: {
      HEED_ASSIGN_OR_RETURN(PieceTable table, ReadPieces(vocabulary, files));
      return MakeWordTokenizer(std::move(table));
    }
    case Vocabulary::kCharacters: {
      HEED_ASSIGN_OR_RETURN(PieceTable table, ReadPieces(vocabulary, files));
      const std::string& space = vocabulary.characters().space();
      return MakeCharacterTokenizer(std::move(table), space.empty() ? " " : space);
    }
    case Vocabulary::TOKENIZER_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("model.json: a vocabulary has no tokenizer");
}

}  // namespace

DecodedText Tokenizer::Decode(absl::Span<const TokenId> ids, absl::Span<const GivenToken> given) const {
  const std::unique_ptr<TextDecoder> decoder = StartDecoding();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!given.empty() && given.front().index == static_cast<int>(i)) {
      decoder->Add(given.front());
      given.remove_prefix(1);
    } else {
      decoder->Add(ids[i]);
    }
  }
  decoder->Finish();
  return decoder->Take();
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Make(const Vocabulary& vocabulary,
                                                           const std::map<std::string, std::string>& files) {
  HEED_ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> tokenizer, MakeCased(vocabulary, files));
  if (vocabulary.lowercase()) return MakeLowercasingTokenizer(std::move(tokenizer));
  return tokenizer;
}

}  // namespace heed
