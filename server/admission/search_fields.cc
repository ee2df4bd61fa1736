#include "server/admission/search_fields.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/errors/errors.h"

namespace heed {
namespace {

using model::v1::SearchDefaults;

constexpr float kMaxRepetitionPenalty = 10;
constexpr int kMaxNoRepeatNgram = 16;
constexpr float kMaxAlpha = 5;
constexpr float kMaxFactor = 100;   // of lengths, and of penalties
constexpr int kMaxTokens = 100000;  // that a and b may come to; the server's own bound is lower

std::string Range(const auto& low, const auto& high) { return absl::StrCat(low, " to ", high); }

// The request's fields, written over the model's where they are set.
class Overrides {
 public:
  explicit Overrides(SearchDefaults* merged) : merged_(merged) {}

  // NaN is outside every range, so the comparison is written to refuse it.
  template <typename T>
  absl::Status Number(absl::string_view field, bool is_set, T value, T low, T high, void (SearchDefaults::*set)(T)) {
    if (!is_set) return absl::OkStatus();
    if (!(value >= low && value <= high)) return InvalidField(Path(field), absl::StrCat(value), Range(low, high));
    (merged_->*set)(value);
    return absl::OkStatus();
  }

  // Both enums have the same values; 0 is the model's.
  template <typename To>
  absl::Status Enum(absl::string_view field, int value, bool (*is_valid)(int), absl::string_view type,
                    void (SearchDefaults::*set)(To)) {
    if (!is_valid(value)) return InvalidField(Path(field), absl::StrCat(value), absl::StrCat("a known ", type));
    if (value != 0) (merged_->*set)(static_cast<To>(value));
    return absl::OkStatus();
  }

  void Bool(bool is_set, bool value, void (SearchDefaults::*set)(bool)) {
    if (is_set) (merged_->*set)(value);
  }

 private:
  static std::string Path(absl::string_view field) { return absl::StrCat("search.", field); }

  SearchDefaults* const merged_;
};

absl::Status OverrideNormalization(const v1::SearchOptions& request, Overrides* take, SearchDefaults* merged) {
  const auto alpha = [&](absl::string_view field, bool is_set, float value, float otherwise) {
    merged->set_length_alpha(otherwise);
    return take->Number<float>(field, is_set, value, 0, kMaxAlpha, &SearchDefaults::set_length_alpha);
  };
  switch (request.length_normalization_case()) {
    case v1::SearchOptions::kNone:
      merged->set_length_normalization(model::v1::LENGTH_NORMALIZATION_NONE);
      break;
    case v1::SearchOptions::kAverage:
      merged->set_length_normalization(model::v1::LENGTH_NORMALIZATION_POWER);
      HEED_RETURN_IF_ERROR(alpha("average.alpha", request.average().has_alpha(), request.average().alpha(), 1));
      break;
    case v1::SearchOptions::kGnmt:
      merged->set_length_normalization(model::v1::LENGTH_NORMALIZATION_GNMT);
      merged->clear_length_beta();
      HEED_RETURN_IF_ERROR(alpha("gnmt.alpha", request.gnmt().has_alpha(), request.gnmt().alpha(), 0.6F));
      HEED_RETURN_IF_ERROR(take->Number<float>("gnmt.beta", request.gnmt().has_beta(), request.gnmt().beta(), 0,
                                               kMaxFactor, &SearchDefaults::set_length_beta));
      break;
    case v1::SearchOptions::LENGTH_NORMALIZATION_NOT_SET:
      break;
  }
  return take->Number<std::int32_t>("length_offset", request.has_length_offset(), request.length_offset(), -1, 1,
                                    &SearchDefaults::set_length_offset);
}

absl::Status OverrideLengths(const v1::SearchOptions& request, Overrides* take) {
  if (request.has_max_length() && (request.has_max_length_a() || request.has_max_length_b())) {
    return InvalidField("search.max_length", absl::StrCat(request.max_length()),
                        "unset where max_length_a or max_length_b is set");
  }
  if (request.has_min_length() && (request.has_min_length_a() || request.has_min_length_b())) {
    return InvalidField("search.min_length", absl::StrCat(request.min_length()),
                        "unset where min_length_a or min_length_b is set");
  }
  HEED_RETURN_IF_ERROR(take->Number<float>("max_length_a", request.has_max_length_a(), request.max_length_a(), 0,
                                           kMaxFactor, &SearchDefaults::set_max_length_a));
  HEED_RETURN_IF_ERROR(take->Number<std::int32_t>("max_length_b", request.has_max_length_b(), request.max_length_b(), 0,
                                                  kMaxTokens, &SearchDefaults::set_max_length_b));
  HEED_RETURN_IF_ERROR(take->Number<float>("min_length_a", request.has_min_length_a(), request.min_length_a(), 0,
                                           kMaxFactor, &SearchDefaults::set_min_length_a));
  return take->Number<std::int32_t>("min_length_b", request.has_min_length_b(), request.min_length_b(), 0, kMaxTokens,
                                    &SearchDefaults::set_min_length_b);
}

absl::Status OverridePolicies(const v1::SearchOptions& request, Overrides* take) {
  HEED_RETURN_IF_ERROR(take->Enum("beam_policy", request.beam_policy(), v1::BeamPolicy_IsValid, "BeamPolicy",
                                  &SearchDefaults::set_beam_policy));
  HEED_RETURN_IF_ERROR(
      take->Enum("beam_stop", request.beam_stop(), v1::BeamStop_IsValid, "BeamStop", &SearchDefaults::set_beam_stop));
  HEED_RETURN_IF_ERROR(take->Enum("unfinished", request.unfinished(), v1::UnfinishedPolicy_IsValid, "UnfinishedPolicy",
                                  &SearchDefaults::set_unfinished));
  HEED_RETURN_IF_ERROR(take->Enum("unknowns", request.unknowns(), v1::UnknownPolicy_IsValid, "UnknownPolicy",
                                  &SearchDefaults::set_unknowns));
  return take->Enum("coverage_penalty", request.coverage_penalty(), v1::CoveragePenalty_IsValid, "CoveragePenalty",
                    &SearchDefaults::set_coverage_penalty);
}

absl::Status OverridePenalties(const v1::SearchOptions& request, Overrides* take) {
  HEED_RETURN_IF_ERROR(take->Number<float>("repetition_penalty", request.has_repetition_penalty(),
                                           request.repetition_penalty(), 1, kMaxRepetitionPenalty,
                                           &SearchDefaults::set_repetition_penalty));
  HEED_RETURN_IF_ERROR(take->Number<std::int32_t>("no_repeat_ngram_size", request.has_no_repeat_ngram_size(),
                                                  request.no_repeat_ngram_size(), 0, kMaxNoRepeatNgram,
                                                  &SearchDefaults::set_no_repeat_ngram_size));
  HEED_RETURN_IF_ERROR(take->Number<float>("unknown_penalty", request.has_unknown_penalty(), request.unknown_penalty(),
                                           -kMaxFactor, kMaxFactor, &SearchDefaults::set_unknown_penalty));
  HEED_RETURN_IF_ERROR(take->Number<float>("word_penalty", request.has_word_penalty(), request.word_penalty(),
                                           -kMaxFactor, kMaxFactor, &SearchDefaults::set_word_penalty));
  return take->Number<float>("coverage_beta", request.has_coverage_beta(), request.coverage_beta(), 0, kMaxFactor,
                             &SearchDefaults::set_coverage_beta);
}

absl::StatusOr<SearchDefaults> Merge(const v1::SearchOptions& request, const SearchDefaults& defaults,
                                     const AdmissionLimits& limits) {
  SearchDefaults merged = defaults;
  merged.set_beam_size(std::clamp(defaults.has_beam_size() ? defaults.beam_size() : 1, 1, limits.max_beam_size));
  Overrides take(&merged);
  HEED_RETURN_IF_ERROR(take.Number<std::int32_t>("beam_size", request.has_beam_size(), request.beam_size(), 1,
                                                 limits.max_beam_size, &SearchDefaults::set_beam_size));
  HEED_RETURN_IF_ERROR(OverrideNormalization(request, &take, &merged));
  HEED_RETURN_IF_ERROR(OverrideLengths(request, &take));
  HEED_RETURN_IF_ERROR(OverridePolicies(request, &take));
  HEED_RETURN_IF_ERROR(OverridePenalties(request, &take));
  take.Bool(request.has_length_every_step(), request.length_every_step(), &SearchDefaults::set_length_every_step);
  take.Bool(request.has_late_end_scores(), request.late_end_scores(), &SearchDefaults::set_late_end_scores);
  take.Bool(request.has_coverage_every_step(), request.coverage_every_step(), &SearchDefaults::set_coverage_every_step);
  take.Bool(request.has_no_repeat_ngram_drops(), request.no_repeat_ngram_drops(),
            &SearchDefaults::set_no_repeat_ngram_drops);
  take.Bool(request.has_replace_unknowns(), request.replace_unknowns(), &SearchDefaults::set_replace_unknowns);
  if (request.has_attend()) merged.set_attend(request.attend());
  return merged;
}

LengthNormalization NormalizationOf(const SearchDefaults& search) {
  switch (search.length_normalization()) {
    case model::v1::LENGTH_NORMALIZATION_NONE:
      return LengthNormalization::kNone;
    case model::v1::LENGTH_NORMALIZATION_GNMT:
      return LengthNormalization::kGnmt;
    default:
      return search.length_alpha() > 0 ? LengthNormalization::kPower : LengthNormalization::kNone;
  }
}

BeamPolicy PolicyOf(const SearchDefaults& search) {
  switch (search.beam_policy()) {
    case model::v1::BEAM_POLICY_REFILL:
      return BeamPolicy::kRefill;
    case model::v1::BEAM_POLICY_SHRINK:
      return BeamPolicy::kShrink;
    case model::v1::BEAM_POLICY_KEEP:
      return BeamPolicy::kKeep;
    case model::v1::BEAM_POLICY_WALK:
      return BeamPolicy::kWalk;
    case model::v1::BEAM_POLICY_GO_ON:
      return BeamPolicy::kGoOn;
    default:
      return BeamPolicy::kFairseq;
  }
}

BeamStop StopOf(const SearchDefaults& search) {
  switch (search.beam_stop()) {
    case model::v1::BEAM_STOP_BEST_ENDS:
      return BeamStop::kBestEnds;
    case model::v1::BEAM_STOP_ALL_ENDED:
      return BeamStop::kAllEnded;
    case model::v1::BEAM_STOP_BEST_ENDED:
      return BeamStop::kBestEnded;
    case model::v1::BEAM_STOP_BEST_ENDED_AND_FULL:
      return BeamStop::kBestEndedAndFull;
    case model::v1::BEAM_STOP_ANY_ENDED:
      return BeamStop::kAnyEnded;
    case model::v1::BEAM_STOP_PLACES_ENDED:
      return BeamStop::kPlacesEnded;
    case model::v1::BEAM_STOP_FINISHED_LEAD:
      return BeamStop::kFinishedLead;
    default:
      return BeamStop::kBeamFull;
  }
}

UnfinishedPolicy UnfinishedOf(const SearchDefaults& search) {
  switch (search.unfinished()) {
    case model::v1::UNFINISHED_POLICY_FILL:
      return UnfinishedPolicy::kFill;
    case model::v1::UNFINISHED_POLICY_END:
      return UnfinishedPolicy::kEnd;
    default:
      return UnfinishedPolicy::kCount;
  }
}

CoveragePenalty CoverageOf(const SearchDefaults& search) {
  switch (search.coverage_penalty()) {
    case model::v1::COVERAGE_PENALTY_WU:
      return CoveragePenalty::kWu;
    case model::v1::COVERAGE_PENALTY_SUMMARY:
      return CoveragePenalty::kSummary;
    default:
      return CoveragePenalty::kNone;
  }
}

SearchOptions OptionsOf(const SearchDefaults& search, const model::v1::Vocabulary& target) {
  SearchOptions options;
  options.beam_size = search.beam_size();
  options.repetition_penalty = search.has_repetition_penalty() ? search.repetition_penalty() : 1;
  options.no_repeat_ngram_size = search.no_repeat_ngram_size();
  options.no_repeat_ngram_drops = search.no_repeat_ngram_drops();
  options.length_normalization = NormalizationOf(search);
  options.length_alpha = search.length_alpha();
  options.length_beta = search.has_length_beta() ? search.length_beta() : 5;
  options.length_offset = search.length_offset();
  options.length_every_step = search.length_every_step();
  options.late_end_scores = search.late_end_scores();
  options.beam_policy = PolicyOf(search);
  options.beam_stop = StopOf(search);
  options.unfinished = UnfinishedOf(search);
  options.banned.assign(search.banned_ids().begin(), search.banned_ids().end());
  if (search.unknowns() == model::v1::UNKNOWN_POLICY_BAN && target.unk_id() != target.eos_id() &&
      std::count(options.banned.begin(), options.banned.end(), target.unk_id()) == 0) {
    options.banned.push_back(target.unk_id());
  }
  options.unknown = target.unk_id();
  options.unknown_penalty = search.unknown_penalty();
  options.word_penalty = search.word_penalty();
  options.coverage_penalty = CoverageOf(search);
  options.coverage_beta = search.coverage_beta();
  options.coverage_every_step = search.coverage_every_step();
  return options;
}

// What reads attention needs a model that has some; `attend` is one of it.
absl::Status ResolveAttend(const v1::SearchOptions& request, const SearchDefaults& merged, const ServedModel& model,
                           ResolvedSearch* search) {
  const std::vector<AttendInfo>& attends = model.plan->attends();
  search->replace_unknowns = merged.replace_unknowns();
  const bool reads = search->replace_unknowns || search->options.coverage_penalty != CoveragePenalty::kNone;
  if (attends.empty() && (reads || request.has_attend())) {
    return ErrorWithInfo(absl::StatusCode::kFailedPrecondition,
                         absl::StrCat("model ", model.summary.name(), " has no attention for search to read"),
                         "MODEL_HAS_NO_ATTENTION", {{"model", model.summary.name()}});
  }
  if (merged.attend().empty() && !request.has_attend()) return absl::OkStatus();
  std::vector<std::string> names;
  for (const AttendInfo& info : attends) {
    if (info.name == merged.attend()) search->attend = static_cast<int>(names.size());
    names.push_back(info.name);
  }
  if (search->attend >= 0) return absl::OkStatus();
  return InvalidField("search.attend", Quoted(merged.attend()),
                      absl::StrCat("an attend of the model: ", Listed(names)));
}

absl::Status CheckOwnLengths(const v1::SearchOptions& request, const AdmissionLimits& limits, ResolvedSearch* search) {
  int bound = limits.max_target_tokens;
  if (request.has_max_length()) {
    search->max_length = request.max_length();
    if (request.max_length() < 1 || request.max_length() > bound) {
      return InvalidField("search.max_length", absl::StrCat(request.max_length()), Range(1, bound));
    }
    bound = request.max_length();
  }
  if (request.has_min_length()) {
    search->min_length = request.min_length();
    if (request.min_length() < 0 || request.min_length() > bound) {
      return InvalidField("search.min_length", absl::StrCat(request.min_length()), Range(0, bound));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ResolvedSearch> ResolveSearch(const v1::SearchOptions& request, const ServedModel& model,
                                             const AdmissionLimits& limits) {
  HEED_ASSIGN_OR_RETURN(const SearchDefaults merged, Merge(request, model.spec.search(), limits));
  ResolvedSearch search;
  search.options = OptionsOf(merged, model.spec.target());
  search.options.n_best = request.has_n_best() ? request.n_best() : 1;
  if (search.options.n_best < 1 || search.options.n_best > search.options.beam_size) {
    return InvalidField("search.n_best", absl::StrCat(search.options.n_best),
                        absl::StrCat(Range(1, search.options.beam_size), " (the beam size)"));
  }
  HEED_RETURN_IF_ERROR(CheckOwnLengths(request, limits, &search));
  if (merged.has_max_length_a()) search.max_length_a = merged.max_length_a();
  if (merged.has_max_length_b()) search.max_length_b = merged.max_length_b();
  search.max_length_cap = merged.max_length_cap();
  search.min_length_a = merged.min_length_a();
  search.min_length_b = merged.min_length_b();
  search.max_target_tokens = limits.max_target_tokens;
  HEED_RETURN_IF_ERROR(ResolveAttend(request, merged, model, &search));
  return search;
}

void ResolvedSearch::Apply(DecodeJob* job) const {
  const double source = static_cast<double>(job->source.size());
  // a * source + b within what an int holds: the bounds of each see to it.
  const int wanted_min = min_length.value_or(static_cast<int>(min_length_a * source) + min_length_b);
  int most = max_length.value_or(static_cast<int>(max_length_a * source) + max_length_b);
  if (!max_length.has_value()) {
    if (max_length_cap > 0) most = std::min(most, max_length_cap);
    // min_length counts tokens before </s>, max_length counts </s> too.
    most = std::clamp(std::max(most, wanted_min + 1), 1, max_target_tokens);
  }
  job->search = options;
  job->search.max_length = most;
  job->search.min_length = std::min(wanted_min, most);
  job->attend = attend;
  job->sources = replace_unknowns;
}

}  // namespace heed
