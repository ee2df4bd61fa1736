#include "server/admission/fields.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/admission/errors.h"

namespace heed {
namespace {

constexpr float kMaxRepetitionPenalty = 10;
constexpr int kMaxNoRepeatNgram = 16;
constexpr float kMaxAlpha = 5;
constexpr float kDefaultMaxLengthA = 2;
constexpr int kDefaultMaxLengthB = 20;

std::string Range(const auto& low, const auto& high) { return absl::StrCat(low, " to ", high); }

// NaN is outside every range, so the comparison is written to refuse it.
template <typename T>
absl::Status CheckRange(absl::string_view field, T value, T low, T high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(value), Range(low, high));
}

absl::Status CheckAlpha(absl::string_view field, float alpha) { return CheckRange<float>(field, alpha, 0, kMaxAlpha); }

absl::Status ResolveNormalization(const v1::SearchOptions& request, const model::v1::SearchDefaults& defaults,
                                  SearchOptions* search) {
  switch (request.length_normalization_case()) {
    case v1::SearchOptions::kNone:
      search->length_normalization = LengthNormalization::kNone;
      return absl::OkStatus();
    case v1::SearchOptions::kAverage:
      search->length_normalization = LengthNormalization::kPower;
      search->length_alpha = request.average().has_alpha() ? request.average().alpha() : 1.0F;
      return CheckAlpha("search.average.alpha", search->length_alpha);
    case v1::SearchOptions::kGnmt:
      search->length_normalization = LengthNormalization::kGnmt;
      search->length_alpha = request.gnmt().has_alpha() ? request.gnmt().alpha() : 0.6F;
      return CheckAlpha("search.gnmt.alpha", search->length_alpha);
    case v1::SearchOptions::LENGTH_NORMALIZATION_NOT_SET:
      break;
  }
  if (defaults.length_alpha() > 0) {
    search->length_normalization = LengthNormalization::kPower;
    search->length_alpha = defaults.length_alpha();
  }
  return absl::OkStatus();
}

// Components wanted; UNSPECIFIED means weights.
absl::Status ResolveComponents(const v1::AttentionOptions& request, Capture* capture) {
  for (int i = 0; i < request.components_size(); ++i) {
    const std::string field = absl::StrCat("attention.components[", i, "]");
    bool* wanted = nullptr;
    switch (request.components(i)) {
      case v1::ATTENTION_COMPONENT_UNSPECIFIED:
      case v1::ATTENTION_COMPONENT_WEIGHTS:
        wanted = &capture->weights;
        break;
      case v1::ATTENTION_COMPONENT_ENERGIES:
        wanted = &capture->energies;
        break;
      default:
        return InvalidField(field, absl::StrCat(request.components(i)), "a known AttentionComponent");
    }
    if (*wanted) return InvalidField(field, "given twice", "there at most once");
    *wanted = true;
  }
  if (request.components_size() == 0) capture->weights = true;
  if (!v1::AttentionUnit_IsValid(request.unit())) {
    return InvalidField("attention.unit", absl::StrCat(request.unit()), "a known AttentionUnit");
  }
  if (request.unit() == v1::ATTENTION_UNIT_WORDS && capture->energies) {
    return InvalidField("attention.unit", "ATTENTION_UNIT_WORDS", "pieces where energies are wanted: they do not fold");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SearchOptions> ResolveSearch(const v1::SearchOptions& request, const ServedModel& model,
                                            const AdmissionLimits& limits) {
  const model::v1::SearchDefaults& defaults = model.spec.search();
  SearchOptions search;
  search.beam_size = std::clamp(defaults.has_beam_size() ? defaults.beam_size() : 1, 1, limits.max_beam_size);
  if (request.has_beam_size()) search.beam_size = request.beam_size();
  HEED_RETURN_IF_ERROR(CheckRange("search.beam_size", search.beam_size, 1, limits.max_beam_size));

  search.n_best = request.has_n_best() ? request.n_best() : 1;
  if (search.n_best < 1 || search.n_best > search.beam_size) {
    return InvalidField("search.n_best", absl::StrCat(search.n_best),
                        absl::StrCat(Range(1, search.beam_size), " (the beam size)"));
  }
  search.max_length = 0;
  if (request.has_max_length()) {
    search.max_length = request.max_length();
    HEED_RETURN_IF_ERROR(CheckRange("search.max_length", search.max_length, 1, limits.max_target_tokens));
  }
  search.min_length = request.min_length();
  HEED_RETURN_IF_ERROR(CheckRange("search.min_length", search.min_length, 0,
                                  request.has_max_length() ? search.max_length : limits.max_target_tokens));

  if (request.has_repetition_penalty()) search.repetition_penalty = request.repetition_penalty();
  HEED_RETURN_IF_ERROR(
      CheckRange<float>("search.repetition_penalty", search.repetition_penalty, 1, kMaxRepetitionPenalty));
  search.no_repeat_ngram_size = request.no_repeat_ngram_size();
  HEED_RETURN_IF_ERROR(CheckRange("search.no_repeat_ngram_size", search.no_repeat_ngram_size, 0, kMaxNoRepeatNgram));
  HEED_RETURN_IF_ERROR(ResolveNormalization(request, defaults, &search));
  return search;
}

int DefaultMaxLength(const ServedModel& model, int source_tokens, int min_length, const AdmissionLimits& limits) {
  const model::v1::SearchDefaults& defaults = model.spec.search();
  const double a = defaults.has_max_length_a() ? defaults.max_length_a() : kDefaultMaxLengthA;
  const double b = defaults.has_max_length_b() ? defaults.max_length_b() : kDefaultMaxLengthB;
  // min_length counts tokens before </s>, max_length counts </s> too.
  double wanted = std::max(a * source_tokens + b, min_length + 1.0);
  if (!(wanted >= 1)) wanted = 1;
  return static_cast<int>(std::min<double>(wanted, limits.max_target_tokens));
}

absl::StatusOr<Capture> ResolveCapture(const std::optional<v1::AttentionOptions>& request, const ServedModel& model) {
  Capture capture;
  if (!request.has_value()) return capture;
  HEED_RETURN_IF_ERROR(ResolveComponents(*request, &capture));
  const std::vector<AttendInfo>& attends = model.plan->attends();
  if (attends.empty()) {
    return ErrorWithInfo(absl::StatusCode::kFailedPrecondition,
                         absl::StrCat("model ", model.summary.name(), " has no attention to return"),
                         "MODEL_HAS_NO_ATTENTION", {{"model", model.summary.name()}});
  }
  std::set<int> wanted;
  for (int i = 0; i < request->attends_size(); ++i) {
    const auto found = std::find_if(attends.begin(), attends.end(),
                                    [&](const AttendInfo& info) { return info.name == request->attends(i); });
    if (found == attends.end()) {
      std::vector<std::string> names;
      for (const AttendInfo& info : attends) names.push_back(info.name);
      return InvalidField(absl::StrCat("attention.attends[", i, "]"), Quoted(request->attends(i)),
                          absl::StrCat("an attend of the model: ", Listed(names)));
    }
    wanted.insert(static_cast<int>(found - attends.begin()));
  }
  if (wanted.empty()) {
    for (std::size_t i = 0; i < attends.size(); ++i) wanted.insert(static_cast<int>(i));
  }
  capture.attends.assign(wanted.begin(), wanted.end());
  return capture;
}

absl::StatusOr<bool> ResolveShortlist(std::optional<bool> request, const ServedModel& model) {
  if (!model.shortlist.has_value() && request.value_or(false)) {
    return ErrorWithInfo(absl::StatusCode::kFailedPrecondition,
                         absl::StrCat("model ", model.summary.name(), " has no shortlist"), "MODEL_HAS_NO_SHORTLIST",
                         {{"model", model.summary.name()}});
  }
  return request.value_or(model.shortlist.has_value());
}

absl::StatusOr<std::int64_t> ResolveReplyBytes(const std::optional<std::int64_t>& request,
                                               const AdmissionLimits& limits) {
  if (!request.has_value()) return std::min(limits.default_reply_bytes, limits.max_reply_bytes);
  HEED_RETURN_IF_ERROR(CheckRange<std::int64_t>("max_reply_bytes", *request, 1, limits.max_reply_bytes));
  return *request;
}

absl::Status CheckTooLongPolicy(v1::TooLongPolicy policy) {
  if (v1::TooLongPolicy_IsValid(policy)) return absl::OkStatus();
  return InvalidField("too_long", absl::StrCat(static_cast<int>(policy)), "a known TooLongPolicy");
}

}  // namespace heed
