// Types and resolves a bundle's programs: the only way to get a CheckedProgram.
#pragma once

#include "absl/status/statusor.h"
#include "engine/model/bundle.h"
#include "engine/model/program.h"

namespace heed {

// Checks everything about spec and tensors that the engine relies on: names unique and well formed, references to
// earlier values only (so no cycles), types and sizes against the tensors, primed names initialised exactly once, the
// output as large as the target vocabulary, ids within their vocabularies, options within bounds, every tensor used,
// no value NaN or infinite. INVALID_ARGUMENT with one line: "model.json: step.h (cell): weight_input W is [4,8],
// expected [16,8]".
absl::StatusOr<CheckedProgram> CheckProgram(const Bundle& bundle);

}  // namespace heed
