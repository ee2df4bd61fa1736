#include "engine/model/check_search.h"

#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/spec_fault.h"

namespace heed {
namespace {

using model::v1::ModelSpec;
using model::v1::SearchDefaults;

constexpr int kMaxTokens = 100000;
constexpr int kMaxBannedIds = 1024;

template <typename... Args>
absl::Status Fault(const Args&... what) {
  return SpecFault("search.", what...);
}

// Fields left out are 0 here, or their default where 0 is none.
template <typename T>
absl::Status Check(absl::string_view field, T value, std::type_identity_t<T> least, std::type_identity_t<T> most) {
  return CheckRange(absl::StrCat("search.", field), value, least, most);
}

// By name JSON knows only those of the schema, but numbers pass.
absl::Status CheckEnum(absl::string_view field, int value, bool is_known, absl::string_view type) {
  if (is_known) return absl::OkStatus();
  return Fault(field, " is ", value, ", expected a ", type);
}

absl::Status CheckEnums(const SearchDefaults& search) {
  HEED_RETURN_IF_ERROR(CheckEnum("length_normalization", search.length_normalization(),
                                 model::v1::LengthNormalization_IsValid(search.length_normalization()),
                                 "LengthNormalization"));
  HEED_RETURN_IF_ERROR(CheckEnum("beam_policy", search.beam_policy(),
                                 model::v1::BeamPolicy_IsValid(search.beam_policy()), "BeamPolicy"));
  HEED_RETURN_IF_ERROR(
      CheckEnum("beam_stop", search.beam_stop(), model::v1::BeamStop_IsValid(search.beam_stop()), "BeamStop"));
  HEED_RETURN_IF_ERROR(CheckEnum("unfinished", search.unfinished(),
                                 model::v1::UnfinishedPolicy_IsValid(search.unfinished()), "UnfinishedPolicy"));
  HEED_RETURN_IF_ERROR(
      CheckEnum("unknowns", search.unknowns(), model::v1::UnknownPolicy_IsValid(search.unknowns()), "UnknownPolicy"));
  return CheckEnum("coverage_penalty", search.coverage_penalty(),
                   model::v1::CoveragePenalty_IsValid(search.coverage_penalty()), "CoveragePenalty");
}

absl::Status CheckLengths(const SearchDefaults& search) {
  HEED_RETURN_IF_ERROR(Check("max_length_a", search.max_length_a(), 0, 100));
  HEED_RETURN_IF_ERROR(Check("max_length_b", search.max_length_b(), 0, kMaxTokens));
  if (search.has_max_length_cap()) {
    HEED_RETURN_IF_ERROR(Check("max_length_cap", search.max_length_cap(), 1, kMaxTokens));
  }
  HEED_RETURN_IF_ERROR(Check("min_length_a", search.min_length_a(), 0, 100));
  return Check("min_length_b", search.min_length_b(), 0, kMaxTokens);
}

absl::Status CheckScores(const SearchDefaults& search) {
  HEED_RETURN_IF_ERROR(Check("length_alpha", search.length_alpha(), 0, 10));
  HEED_RETURN_IF_ERROR(Check("length_beta", search.length_beta(), 0, 100));
  HEED_RETURN_IF_ERROR(Check("length_offset", search.length_offset(), -1, 1));
  HEED_RETURN_IF_ERROR(Check("unknown_penalty", search.unknown_penalty(), -100, 100));
  HEED_RETURN_IF_ERROR(Check("word_penalty", search.word_penalty(), -100, 100));
  HEED_RETURN_IF_ERROR(Check("coverage_beta", search.coverage_beta(), 0, 100));
  HEED_RETURN_IF_ERROR(Check("no_repeat_ngram_size", search.no_repeat_ngram_size(), 0, 16));
  if (!search.has_repetition_penalty()) return absl::OkStatus();
  return Check("repetition_penalty", search.repetition_penalty(), 1, 10);
}

absl::Status CheckBannedIds(const ModelSpec& spec) {
  const SearchDefaults& search = spec.search();
  if (search.banned_ids_size() > kMaxBannedIds) {
    return Fault("banned_ids has ", search.banned_ids_size(), " ids, expected at most ", kMaxBannedIds);
  }
  std::set<int> seen;
  for (int i = 0; i < search.banned_ids_size(); ++i) {
    const std::string field = absl::StrCat("banned_ids[", i, "]");
    const int id = search.banned_ids(i);
    HEED_RETURN_IF_ERROR(Check(field, id, 0, spec.target().size() - 1));
    if (id == spec.target().eos_id()) return Fault(field, " is ", id, ", the target's eos_id: no output could end");
    if (!seen.insert(id).second) return Fault(field, " is ", id, ", which is banned already");
  }
  return absl::OkStatus();
}

absl::Status CheckAttend(const ModelSpec& spec) {
  const SearchDefaults& search = spec.search();
  std::vector<absl::string_view> attends;
  for (const model::v1::Op& op : spec.step().ops()) {
    if (op.has_attend()) attends.push_back(op.name());
  }
  if (attends.empty()) {
    if (search.coverage_penalty() > model::v1::COVERAGE_PENALTY_NONE) {
      return Fault("coverage_penalty needs an attend in the step program, which has none");
    }
    if (search.replace_unknowns()) {
      return Fault("replace_unknowns needs an attend in the step program, which has none");
    }
  }
  if (search.attend().empty()) return absl::OkStatus();
  for (const absl::string_view name : attends) {
    if (name == search.attend()) return absl::OkStatus();
  }
  return Fault("attend is ", Quote(search.attend()), ", expected an attend of the step program: ",
               attends.empty() ? "it has none" : absl::StrJoin(attends, ", "));
}

}  // namespace

absl::Status CheckSearch(const ModelSpec& spec) {
  const SearchDefaults& search = spec.search();
  if (search.has_beam_size()) HEED_RETURN_IF_ERROR(Check("beam_size", search.beam_size(), 1, 1024));
  HEED_RETURN_IF_ERROR(CheckEnums(search));
  HEED_RETURN_IF_ERROR(CheckLengths(search));
  HEED_RETURN_IF_ERROR(CheckScores(search));
  HEED_RETURN_IF_ERROR(CheckBannedIds(spec));
  return CheckAttend(spec);
}

}  // namespace heed
