#include "server/admission/search_fields.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/fields/check_fields.h"
#include "engine/fields/field_rules.h"
#include "engine/fields/merge_fields.h"
#include "server/errors/errors.h"

namespace heed {
namespace {

// What a search is where neither request nor model says anything.
const v1::SearchOptions& Defaults() {
  static const v1::SearchOptions* const defaults = [] {
    auto* const made = new v1::SearchOptions;
    SetDefaults(made);
    return made;
  }();
  return *defaults;
}

absl::StatusOr<v1::SearchOptions> Merge(const v1::SearchOptions& request, const v1::SearchOptions& model,
                                        const AdmissionLimits& limits) {
  const ServerLimit server[] = {{"max_beam_size", limits.max_beam_size},
                                {"max_target_tokens", limits.max_target_tokens}};
  static const FieldMerger* const merger = new FieldMerger(*v1::SearchOptions::descriptor());
  v1::SearchOptions merged = Defaults();
  merged.MergeFrom(model);
  const std::optional<FieldFault> fault = merger->Merge(request, "search", server, &merged);
  if (fault.has_value()) return InvalidField(fault->path, fault->value, fault->bound);
  return merged;
}

float Number(const google::protobuf::Message& message, int field) {
  return static_cast<float>(NumberOr(message, *message.GetDescriptor()->FindFieldByNumber(field)));
}

void SetNormalization(const v1::SearchOptions& search, SearchOptions* options) {
  options->length_normalization = LengthNormalization::kNone;
  if (search.has_average()) {
    using Average = v1::AverageLengthNormalization;
    options->length_alpha = Number(search.average(), Average::kAlphaFieldNumber);
    // x^0 is 1: nothing to compute at each step.
    if (options->length_alpha > 0) options->length_normalization = LengthNormalization::kPower;
  }
  if (search.has_gnmt()) {
    using Gnmt = v1::GnmtLengthNormalization;
    options->length_normalization = LengthNormalization::kGnmt;
    options->length_alpha = Number(search.gnmt(), Gnmt::kAlphaFieldNumber);
    options->length_beta = Number(search.gnmt(), Gnmt::kBetaFieldNumber);
  }
}

BeamPolicy PolicyOf(const v1::SearchOptions& search) {
  switch (search.beam_policy()) {
    case v1::BEAM_POLICY_REFILL:
      return BeamPolicy::kRefill;
    case v1::BEAM_POLICY_SHRINK:
      return BeamPolicy::kShrink;
    case v1::BEAM_POLICY_KEEP:
      return BeamPolicy::kKeep;
    case v1::BEAM_POLICY_WALK:
      return BeamPolicy::kWalk;
    case v1::BEAM_POLICY_GO_ON:
      return BeamPolicy::kGoOn;
    default:
      return BeamPolicy::kFairseq;
  }
}

BeamStop StopOf(const v1::SearchOptions& search) {
  switch (search.beam_stop()) {
    case v1::BEAM_STOP_BEST_ENDS:
      return BeamStop::kBestEnds;
    case v1::BEAM_STOP_ALL_ENDED:
      return BeamStop::kAllEnded;
    case v1::BEAM_STOP_BEST_ENDED:
      return BeamStop::kBestEnded;
    case v1::BEAM_STOP_BEST_ENDED_AND_FULL:
      return BeamStop::kBestEndedAndFull;
    case v1::BEAM_STOP_ANY_ENDED:
      return BeamStop::kAnyEnded;
    case v1::BEAM_STOP_PLACES_ENDED:
      return BeamStop::kPlacesEnded;
    case v1::BEAM_STOP_FINISHED_LEAD:
      return BeamStop::kFinishedLead;
    default:
      return BeamStop::kBeamFull;
  }
}

UnfinishedPolicy UnfinishedOf(const v1::SearchOptions& search) {
  switch (search.unfinished()) {
    case v1::UNFINISHED_POLICY_FILL:
      return UnfinishedPolicy::kFill;
    case v1::UNFINISHED_POLICY_END:
      return UnfinishedPolicy::kEnd;
    default:
      return UnfinishedPolicy::kCount;
  }
}

CoveragePenalty CoverageOf(const v1::SearchOptions& search) {
  switch (search.coverage_penalty()) {
    case v1::COVERAGE_PENALTY_WU:
      return CoveragePenalty::kWu;
    case v1::COVERAGE_PENALTY_SUMMARY:
      return CoveragePenalty::kSummary;
    default:
      return CoveragePenalty::kNone;
  }
}

// The engine's plain struct of all that is settled before a source is known.
SearchOptions OptionsOf(const v1::SearchOptions& search, const model::v1::Vocabulary& target) {
  SearchOptions options;
  options.beam_size = search.beam_size();
  options.n_best = search.n_best();
  options.repetition_penalty = search.repetition_penalty();
  options.no_repeat_ngram_size = search.no_repeat_ngram_size();
  options.no_repeat_ngram_drops = search.no_repeat_ngram_drops();
  SetNormalization(search, &options);
  options.length_offset = search.length_offset();
  options.length_every_step = search.length_every_step();
  options.late_end_scores = search.late_end_scores();
  options.beam_policy = PolicyOf(search);
  options.beam_stop = StopOf(search);
  options.unfinished = UnfinishedOf(search);
  options.banned.assign(search.banned_ids().begin(), search.banned_ids().end());
  if (search.unknowns() == v1::UNKNOWN_POLICY_BAN && target.unk_id() != target.eos_id() &&
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
absl::Status ResolveAttend(const v1::SearchOptions& request, const v1::SearchOptions& merged, const ServedModel& model,
                           ResolvedSearch* search) {
  const std::vector<AttendInfo>& attends = model.plan->attends();
  search->replace_unknowns = merged.replace_unknowns();
  if (attends.empty() && (request.has_attend() || FieldThatReadsAttention(merged) != nullptr)) {
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

}  // namespace

absl::StatusOr<ResolvedSearch> ResolveSearch(const v1::SearchOptions& request, const ServedModel& model,
                                             const AdmissionLimits& limits) {
  HEED_ASSIGN_OR_RETURN(const v1::SearchOptions merged, Merge(request, model.spec.search(), limits));
  ResolvedSearch search;
  search.options = OptionsOf(merged, model.spec.target());
  if (merged.has_max_length()) search.max_length = merged.max_length();
  if (merged.has_min_length()) search.min_length = merged.min_length();
  search.max_length_a = merged.max_length_a();
  search.max_length_rounds_up = merged.max_length_rounds_up();
  search.max_length_b = merged.max_length_b();
  if (merged.has_max_length_cap()) search.max_length_cap = merged.max_length_cap();
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
  int most = max_length.value_or(0);
  if (!max_length.has_value()) {
    // min_length counts tokens before </s>, max_length counts </s> too: a rule leaves room for what it must have.
    // Up is Marian's way, and so is a product in float32: 1.1 * 10 is 11 there, and not a little more.
    const double wanted =
        max_length_rounds_up ? std::ceil(max_length_a * static_cast<float>(source)) : max_length_a * source;
    most = std::max(static_cast<int>(wanted) + max_length_b, wanted_min + 1);
  }
  most = std::clamp(std::min(most, max_length_cap.value_or(most)), 1, max_target_tokens);
  job->search = options;
  job->search.max_length = most;
  job->search.min_length = std::min(wanted_min, most);
  job->attend = attend;
  job->sources = replace_unknowns;
}

}  // namespace heed
