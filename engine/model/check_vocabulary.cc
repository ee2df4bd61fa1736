#include "engine/model/check_vocabulary.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/bundle_files.h"
#include "engine/model/spec_fault.h"

namespace heed {
namespace {

using model::v1::Vocabulary;

constexpr int kMaxVocabulary = 1 << 24;
constexpr std::size_t kMaxMarkBytes = 32;

// An id that is no text: within the vocabulary and not the unknown piece, which is text.
absl::Status CheckSpecial(const std::string& field, const Vocabulary& v, std::int64_t id) {
  HEED_RETURN_IF_ERROR(CheckRange<std::int64_t>(field, id, 0, v.size() - 1));
  if (id == v.unk_id()) return SpecFault(field, " is ", id, ", the unk_id");
  return absl::OkStatus();
}

absl::Status CheckFile(const std::string& field, const std::string& name) {
  if (IsBundleFileName(name)) return absl::OkStatus();
  return SpecFault(field, " is ", Quote(name), ", expected a file of the bundle");
}

// A mark that stands at the edges of pieces; empty means the default.
absl::Status CheckMark(const std::string& field, const std::string& mark) {
  const bool has_space = std::any_of(mark.begin(), mark.end(), [](unsigned char c) { return c <= ' ' || c == 127; });
  if (mark.size() <= kMaxMarkBytes && !has_space) return absl::OkStatus();
  return SpecFault(field, " is ", Quote(mark), ", expected at most ", kMaxMarkBytes, " bytes without white space");
}

absl::Status CheckOpenNmt(const std::string& field, const model::v1::OpenNmtTokenizer& tokenizer) {
  const auto mode = tokenizer.mode();
  if (mode != model::v1::OPEN_NMT_MODE_SPACE && mode != model::v1::OPEN_NMT_MODE_CONSERVATIVE &&
      mode != model::v1::OPEN_NMT_MODE_AGGRESSIVE) {
    return SpecFault(field, ".mode is ", mode, ", expected OPEN_NMT_MODE_SPACE, _CONSERVATIVE or _AGGRESSIVE");
  }
  if (tokenizer.joiner_annotate() == tokenizer.spacer_annotate()) {
    return SpecFault(field, ": expected exactly one of joiner_annotate and spacer_annotate");
  }
  HEED_RETURN_IF_ERROR(CheckMark(field + ".mark", tokenizer.mark()));
  return tokenizer.merges().empty() ? absl::OkStatus() : CheckFile(field + ".merges", tokenizer.merges());
}

absl::Status CheckTokenizer(const std::string& side, const Vocabulary& v) {
  switch (v.tokenizer_case()) {
    case Vocabulary::kSentencepiece:
      if (v.lowercase())
        return SpecFault(side, ".lowercase does not go with sentencepiece, whose model has rules of its own");
      HEED_RETURN_IF_ERROR(CheckFile(side + ".sentencepiece.file", v.sentencepiece().file()));
      return v.pieces().empty() ? absl::OkStatus() : CheckFile(side + ".pieces", v.pieces());
    case Vocabulary::kBpe:
      HEED_RETURN_IF_ERROR(CheckFile(side + ".bpe.merges", v.bpe().merges()));
      HEED_RETURN_IF_ERROR(CheckMark(side + ".bpe.separator", v.bpe().separator()));
      break;
    case Vocabulary::kOpennmt:
      HEED_RETURN_IF_ERROR(CheckOpenNmt(side + ".opennmt", v.opennmt()));
      break;
    case Vocabulary::kCharacters:
      if (const std::string& space = v.characters().space(); space.size() > kMaxMarkBytes) {
        return SpecFault(side, ".characters.space is ", Quote(space), ", expected at most ", kMaxMarkBytes, " bytes");
      }
      break;
    case Vocabulary::kWords:
    case Vocabulary::kPretokenized:
      break;
    case Vocabulary::TOKENIZER_NOT_SET:
      return SpecFault(side, " has no tokenizer: one of sentencepiece, bpe, words, characters, opennmt, pretokenized");
  }
  return CheckFile(side + ".pieces", v.pieces());
}

}  // namespace

absl::Status CheckVocabulary(const std::string& side, const Vocabulary& v, bool is_source) {
  if (v.size() < 1 || v.size() > kMaxVocabulary) {
    return SpecFault(side, ".size is ", v.size(), ", expected 1 to ", kMaxVocabulary);
  }
  HEED_RETURN_IF_ERROR(CheckRange<std::int64_t>(side + ".unk_id", v.unk_id(), 0, v.size() - 1));
  if (v.has_bos_id()) HEED_RETURN_IF_ERROR(CheckSpecial(side + ".bos_id", v, v.bos_id()));
  if (v.has_eos_id()) HEED_RETURN_IF_ERROR(CheckSpecial(side + ".eos_id", v, v.eos_id()));
  for (const std::int32_t id : v.special_ids()) {
    HEED_RETURN_IF_ERROR(CheckSpecial(side + ".special_ids", v, id));
  }
  if (!is_source && !v.has_eos_id()) return SpecFault(side, ".eos_id is missing");
  if (!is_source && (v.add_bos() || v.add_eos()))
    return SpecFault(side, ".add_bos and add_eos belong to the source side");
  if (v.add_bos() && !v.has_bos_id()) return SpecFault(side, ".add_bos needs bos_id");
  if (v.add_eos() && !v.has_eos_id()) return SpecFault(side, ".add_eos needs eos_id");
  return CheckTokenizer(side, v);
}

std::vector<std::string> FilesOf(const Vocabulary& vocabulary) {
  std::vector<std::string> files;
  for (const std::string* name : {&vocabulary.pieces(), &vocabulary.sentencepiece().file(), &vocabulary.bpe().merges(),
                                  &vocabulary.opennmt().merges()}) {
    if (!name->empty()) files.push_back(*name);
  }
  return files;
}

}  // namespace heed
