// What model.json says of confidence and of the scripts of its sources: checked field by field. Whether a script is one
// that characters have is ICU's to know: server/text/script_coverage.h.
//
// Plain functions, thread-safe.
#pragma once

#include "absl/status/status.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

// Texts of one line, weights finite and within their bound, probabilities within 0 and 1, curves that do not fall, what
// is required there. INVALID_ARGUMENT: "model.json: confidence.doubtful is 1.5, expected 0 to 1".
absl::Status CheckConfidence(const model::v1::ModelSpec& spec);

// Codes of four letters, none twice. INVALID_ARGUMENT: "model.json: source_scripts.scripts[0] is "hang", expected an
// ISO 15924 code, "Hang"".
absl::Status CheckSourceScripts(const model::v1::ModelSpec& spec);

}  // namespace heed
