#include "server/text/tokenizer.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/text/sentencepiece_tokenizer.h"

namespace heed {

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Make(const model::v1::Vocabulary& vocabulary,
                                                           const std::map<std::string, std::string>& files) {
  if (!vocabulary.has_sentencepiece()) return absl::InvalidArgumentError("model.json: a vocabulary has no tokenizer");
  const std::string& name = vocabulary.sentencepiece().file();
  const auto file = files.find(name);
  if (file == files.end()) {
    return absl::InvalidArgumentError(absl::StrCat("model.json: tokenizer file \"", name, "\" is not in the bundle"));
  }
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = MakeSentencePieceTokenizer(vocabulary, file->second);
  if (!tokenizer.ok()) {
    return absl::Status(tokenizer.status().code(), absl::StrCat(name, ": ", tokenizer.status().message()));
  }
  return tokenizer;
}

}  // namespace heed
