// The fields of a request that stand apart from its texts, but for `search` (search_fields.h): each checked against its
// bound and given its default.
//
// Plain functions, thread-safe. Every error is INVALID_ARGUMENT naming field, value and bound (errors.h), but for
// attention of a model that has none: FAILED_PRECONDITION.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "engine/run/job.h"
#include "heed/v1/text.pb.h"
#include "server/admission/admission.h"

namespace heed {

// Which attention the engine keeps; nothing when the request asks for none.
absl::StatusOr<Capture> ResolveCapture(const std::optional<AttentionRequest>& request, const ServedModel& model);

// Whether jobs take the model's shortlist. FAILED_PRECONDITION when it is asked for and the model has none.
absl::StatusOr<bool> ResolveShortlist(std::optional<bool> request, const ServedModel& model);

absl::StatusOr<std::int64_t> ResolveReplyBytes(const std::optional<std::int64_t>& request,
                                               const AdmissionLimits& limits);

absl::Status CheckTooLongPolicy(v1::TooLongPolicy policy);

// Interactive where the request does not say.
absl::StatusOr<Priority> ResolvePriority(v1::Priority priority);

// 1 ms to 1 day; infinite when the request has none.
absl::StatusOr<absl::Duration> ResolveTimeBudget(const std::optional<google::protobuf::Duration>& request);

}  // namespace heed
