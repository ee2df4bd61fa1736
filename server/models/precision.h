// In which precision a model is served: what the operator says of it, else what its bundle advises as far as the
// machine has it, else float32.
//
// Plain values and functions, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/precision.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

// What the operator says of one model.
struct ModelSetting {
  std::string name;
  std::optional<std::string> version;  // absent: every version that no setting names
  std::optional<Precision> precision;  // absent: auto
};

struct PrecisionSettings {
  std::optional<Precision> all;      // --precision; absent: auto
  std::vector<ModelSetting> models;  // --model_settings, before `all`; no two of one name and version
  std::string file;                  // that they come from
};

// What a machine's products can be made of.
struct MachinePrecision {
  absl::Status bfloat16;  // OK, or one line that names the missing instruction
  absl::Status int8;      // OK, or one line that says why there are 7 bits for what weights are multiplied with

  static MachinePrecision Here();
};

struct ChosenPrecision {
  Precision precision = Precision::kFloat32;
  std::string note;  // one line that the operator should read, or empty: what auto did without, int8 of 7 bits
};

// FAILED_PRECONDITION where the operator says a precision that the machine lacks: one line with the model, the
// precision, who says so and the missing instruction. `spec` has been checked.
absl::StatusOr<ChosenPrecision> ChoosePrecision(const model::v1::ModelSpec& spec, const PrecisionSettings& settings,
                                                const MachinePrecision& machine);

// The setting of this model: of its version, else of its name, else null.
const ModelSetting* SettingOf(const PrecisionSettings& settings, const std::string& name, const std::string& version);

}  // namespace heed
