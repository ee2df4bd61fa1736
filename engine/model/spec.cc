#include "engine/model/spec.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/bundle_files.h"
#include "engine/model/check_confidence.h"
#include "engine/model/check_precision_advice.h"
#include "engine/model/check_search.h"
#include "engine/model/check_vocabulary.h"
#include "engine/model/json_message.h"
#include "engine/model/spec_fault.h"
#include "engine/model/version1.h"

namespace heed {
namespace {

using model::v1::ModelSpec;

constexpr std::size_t kMaxSpecBytes = std::size_t{4} << 20;

template <typename Allowed>
absl::Status CheckText(const char* field, const std::string& text, std::size_t max_bytes, Allowed allowed,
                       const char* expected) {
  if (!text.empty() && text.size() <= max_bytes && std::all_of(text.begin(), text.end(), allowed)) {
    return absl::OkStatus();
  }
  return SpecFault(field, " is ", Quote(text), ", expected 1 to ", max_bytes, " of ", expected);
}

absl::Status CheckLanguages(const ModelSpec& spec) {
  const auto is_tag = [](char c) { return absl::ascii_isalnum(c) || c == '-'; };
  HEED_RETURN_IF_ERROR(CheckText("source_language", spec.source_language(), 35, is_tag, "[A-Za-z0-9-]"));
  HEED_RETURN_IF_ERROR(CheckText("target_language", spec.target_language(), 35, is_tag, "[A-Za-z0-9-]"));
  if (spec.task() == model::v1::TASK_SUMMARIZE && spec.source_language() != spec.target_language()) {
    return SpecFault("target_language is ", spec.target_language(), ", expected ", spec.source_language(),
                     ", the source_language, for TASK_SUMMARIZE");
  }
  return absl::OkStatus();
}

absl::Status CheckSearchAndLimits(const ModelSpec& spec) {
  HEED_RETURN_IF_ERROR(CheckSearch(spec));
  if (spec.limits().has_max_source_tokens()) {
    HEED_RETURN_IF_ERROR(CheckRange("limits.max_source_tokens", spec.limits().max_source_tokens(), 1, 100000));
  }
  if (!v1::TooLongPolicy_IsValid(spec.limits().too_long())) {
    return SpecFault("limits.too_long is ", spec.limits().too_long(), ", expected a known TooLongPolicy");
  }
  return absl::OkStatus();
}

absl::Status CheckShortlist(const ModelSpec& spec) {
  if (!spec.has_shortlist()) return absl::OkStatus();
  if (!IsBundleFileName(spec.shortlist().file())) {
    return SpecFault("shortlist.file is ", Quote(spec.shortlist().file()), ", expected a file of the bundle");
  }
  if (!spec.shortlist().separate_vocabularies() && spec.source().size() != spec.target().size()) {
    return SpecFault("shortlist: source ids are candidates themselves, but source.size is ", spec.source().size(),
                     " and target.size ", spec.target().size());
  }
  return absl::OkStatus();
}

absl::Status CheckSentenceList(absl::string_view name, const google::protobuf::RepeatedPtrField<std::string>& words,
                               bool abbreviations, int* count) {
  constexpr int kMaxWords = 10000, kMaxWordBytes = 64;
  for (int i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto fault = [&](absl::string_view expected) {
      return SpecFault("sentence_lists.", name, "[", i, "] is ", Quote(word), ", expected ", expected);
    };
    if (++*count > kMaxWords) return SpecFault("sentence_lists has more than ", kMaxWords, " words");
    if (word.empty() || word.size() > kMaxWordBytes) return fault("1 to 64 bytes");
    if (std::any_of(word.begin(), word.end(), [](unsigned char c) { return c <= ' ' || c == 127; })) {
      return fault("no white space");
    }
    if (abbreviations && word.back() == '.') return fault("no dot at the end");
  }
  return absl::OkStatus();
}

absl::Status CheckSentenceLists(const ModelSpec& spec) {
  if (!spec.has_sentence_lists()) return absl::OkStatus();
  if (spec.segmentation() != model::v1::SEGMENTATION_SENTENCE) {
    return SpecFault("sentence_lists are of no use without segmentation SEGMENTATION_SENTENCE");
  }
  const model::v1::SentenceLists& lists = spec.sentence_lists();
  int count = 0;
  HEED_RETURN_IF_ERROR(CheckSentenceList("inside", lists.inside(), /*abbreviations=*/true, &count));
  HEED_RETURN_IF_ERROR(CheckSentenceList("number", lists.number(), /*abbreviations=*/true, &count));
  HEED_RETURN_IF_ERROR(CheckSentenceList("may_end", lists.may_end(), /*abbreviations=*/true, &count));
  HEED_RETURN_IF_ERROR(CheckSentenceList("unit", lists.unit(), /*abbreviations=*/true, &count));
  HEED_RETURN_IF_ERROR(CheckSentenceList("openers", lists.openers(), /*abbreviations=*/false, &count));
  HEED_RETURN_IF_ERROR(CheckSentenceList("labels", lists.labels(), /*abbreviations=*/false, &count));
  return CheckSentenceList("speech", lists.speech(), /*abbreviations=*/false, &count);
}

}  // namespace

absl::StatusOr<ModelSpec> ParseSpec(absl::string_view json) {
  if (json.size() > kMaxSpecBytes) return SpecFault(json.size(), " bytes, more than the bound of ", kMaxSpecBytes);
  const absl::StatusOr<std::optional<std::string>> newer = FromVersion1(json);
  if (!newer.ok()) return SpecFault(newer.status().message());
  ModelSpec spec;
  const absl::Status parsed = ParseJsonMessage(newer->has_value() ? **newer : json, &spec);
  if (!parsed.ok()) return SpecFault(parsed.message());
  return spec;
}

absl::Status CheckSpec(const ModelSpec& spec) {
  const auto is_name = [](char c) {
    return absl::ascii_isdigit(c) || absl::ascii_islower(c) || c == '.' || c == '_' || c == '-';
  };
  HEED_RETURN_IF_ERROR(CheckRange("format_version", spec.format_version(), 1, 2));
  HEED_RETURN_IF_ERROR(CheckText("name", spec.name(), 64, is_name, "[a-z0-9._-]"));
  HEED_RETURN_IF_ERROR(CheckText("version", spec.version(), 64, is_name, "[a-z0-9._-]"));
  if (spec.task() != model::v1::TASK_TRANSLATE && spec.task() != model::v1::TASK_SUMMARIZE) {
    return SpecFault("task is ", spec.task(), ", expected TASK_TRANSLATE or TASK_SUMMARIZE");
  }
  HEED_RETURN_IF_ERROR(CheckLanguages(spec));
  const auto is_text = [](unsigned char c) { return c >= ' ' && c != 127; };
  if (!spec.description().empty()) {
    HEED_RETURN_IF_ERROR(CheckText("description", spec.description(), 1000, is_text, "one line of text"));
  }
  HEED_RETURN_IF_ERROR(CheckText("license", spec.license(), 200, absl::ascii_isprint, "an SPDX expression"));
  if (spec.segmentation() != model::v1::SEGMENTATION_SENTENCE && spec.segmentation() != model::v1::SEGMENTATION_NONE) {
    return SpecFault("segmentation is ", spec.segmentation(), ", expected SEGMENTATION_SENTENCE or SEGMENTATION_NONE");
  }
  HEED_RETURN_IF_ERROR(CheckVocabulary("source", spec.source(), /*is_source=*/true));
  HEED_RETURN_IF_ERROR(CheckVocabulary("target", spec.target(), /*is_source=*/false));
  HEED_RETURN_IF_ERROR(CheckSentenceLists(spec));
  HEED_RETURN_IF_ERROR(CheckShortlist(spec));
  HEED_RETURN_IF_ERROR(CheckPrecisionAdvice(spec));
  HEED_RETURN_IF_ERROR(CheckConfidence(spec));
  HEED_RETURN_IF_ERROR(CheckSourceScripts(spec));
  return CheckSearchAndLimits(spec);
}

std::vector<std::string> FilesOf(const ModelSpec& spec) {
  std::vector<std::string> files = FilesOf(spec.source());
  const auto add = [&](const std::string& file) {
    if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
  };
  for (const std::string& file : FilesOf(spec.target())) add(file);
  if (spec.has_shortlist()) add(spec.shortlist().file());
  return files;
}

}  // namespace heed
