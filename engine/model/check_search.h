// The checks of model.json's `search`.
//
// Thread-safe: no state.
#pragma once

#include "absl/status/status.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

// Bounds of every field; ids within the target vocabulary; `attend` an attend of the step program, which has one where
// the search reads attention. INVALID_ARGUMENT: "model.json: search.length_beta is -1, expected 0 to 100".
absl::Status CheckSearch(const model::v1::ModelSpec& spec);

}  // namespace heed
