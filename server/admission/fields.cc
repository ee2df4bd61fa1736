#include "server/admission/fields.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/errors/errors.h"

namespace heed {
namespace {

constexpr absl::Duration kMinTimeBudget = absl::Milliseconds(1);
constexpr absl::Duration kMaxTimeBudget = absl::Hours(24);

std::string Range(const auto& low, const auto& high) { return absl::StrCat(low, " to ", high); }

// NaN is outside every range, so the comparison is written to refuse it.
template <typename T>
absl::Status CheckRange(absl::string_view field, T value, T low, T high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(value), Range(low, high));
}

// Components wanted; UNSPECIFIED means weights.
absl::Status ResolveComponents(const AttentionRequest& request, Capture* capture) {
  for (std::size_t i = 0; i < request.components.size(); ++i) {
    const std::string field = absl::StrCat("attention.components[", i, "]");
    bool* wanted = nullptr;
    switch (request.components[i]) {
      case v1::ATTENTION_COMPONENT_UNSPECIFIED:
      case v1::ATTENTION_COMPONENT_WEIGHTS:
        wanted = &capture->weights;
        break;
      case v1::ATTENTION_COMPONENT_ENERGIES:
        wanted = &capture->energies;
        break;
      case v1::ATTENTION_COMPONENT_CONTEXTS:
        wanted = &capture->contexts;
        break;
      default:
        return InvalidField(field, absl::StrCat(request.components[i]), "a known AttentionComponent");
    }
    if (*wanted) return InvalidField(field, "given twice", "there at most once");
    *wanted = true;
  }
  if (request.components.empty()) capture->weights = true;
  if (!v1::AttentionUnit_IsValid(request.unit)) {
    return InvalidField("attention.unit", absl::StrCat(request.unit), "a known AttentionUnit");
  }
  if (request.unit == v1::ATTENTION_UNIT_WORDS && (capture->energies || capture->contexts)) {
    return InvalidField(
        "attention.unit", "ATTENTION_UNIT_WORDS",
        absl::StrCat("pieces where ", capture->energies ? "energies" : "contexts", " are wanted: they do not fold"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Capture> ResolveCapture(const std::optional<AttentionRequest>& request, const ServedModel& model) {
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
  for (std::size_t i = 0; i < request->attends.size(); ++i) {
    const auto found = std::find_if(attends.begin(), attends.end(),
                                    [&](const AttendInfo& info) { return info.name == request->attends[i]; });
    if (found == attends.end()) {
      std::vector<std::string> names;
      for (const AttendInfo& info : attends) names.push_back(info.name);
      return InvalidField(absl::StrCat("attention.attends[", i, "]"), Quoted(request->attends[i]),
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

absl::StatusOr<Priority> ResolvePriority(v1::Priority priority) {
  switch (priority) {
    case v1::PRIORITY_UNSPECIFIED:
    case v1::PRIORITY_INTERACTIVE:
      return Priority::kInteractive;
    case v1::PRIORITY_BATCH:
      return Priority::kBatch;
    default:
      return InvalidField("priority", absl::StrCat(static_cast<int>(priority)), "a known Priority");
  }
}

absl::StatusOr<absl::Duration> ResolveTimeBudget(const std::optional<google::protobuf::Duration>& request) {
  if (!request.has_value()) return absl::InfiniteDuration();
  const absl::Duration budget = absl::Seconds(request->seconds()) + absl::Nanoseconds(request->nanos());
  if (budget < kMinTimeBudget || budget > kMaxTimeBudget) {
    return InvalidField("time_budget", absl::FormatDuration(budget),
                        Range(absl::FormatDuration(kMinTimeBudget), absl::FormatDuration(kMaxTimeBudget)));
  }
  HEED_RETURN_IF_ERROR(CheckRange<std::int32_t>("time_budget.nanos", request->nanos(), 0, 999999999));
  return budget;
}

}  // namespace heed
