// The file of --model_settings: what holds for single models, as heed.server.v1.ModelSettings in protobuf's JSON form.
// docs/flags.md has an example.
//
// Plain functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/models/precision.h"

namespace heed {

// The settings in `json`. INVALID_ARGUMENT in one line that begins with "--model_settings", `file` and what is wrong:
// no JSON, an unknown or doubled field, an unknown precision, no name, a name and version that came before. Whether
// there are such models is found out when they are loaded.
absl::StatusOr<std::vector<ModelSetting>> ParseModelSettings(absl::string_view json, const std::string& file);

// The same of a file. INVALID_ARGUMENT too where it cannot be read or has more than 1 MiB.
absl::StatusOr<std::vector<ModelSetting>> ReadModelSettings(const std::string& file);

}  // namespace heed
