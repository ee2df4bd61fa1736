// What model.json advises about precision: checked field by field.
//
// Plain function, thread-safe.
#pragma once

#include "absl/status/status.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

// Precisions known and none twice, numbers finite and in bounds, whatever is recommended measured if anything is, a
// shortlist only where the model has one. INVALID_ARGUMENT: "model.json: precision.lines is 0, expected 1 to
// 2147483647".
absl::Status CheckPrecisionAdvice(const model::v1::ModelSpec& spec);

}  // namespace heed
