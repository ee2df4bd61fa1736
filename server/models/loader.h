// Bundles into models that can be served.
//
// Plain functions, thread-safe.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/bundle.h"
#include "engine/run/plan.h"
#include "heed/v1/model.pb.h"
#include "server/models/precision.h"
#include "server/models/served_model.h"

namespace heed {

struct LoadLimits {
  std::int64_t max_bytes = std::numeric_limits<std::int64_t>::max();  // of memory, for all models together
  int engines = 1;  // that each model will have at least: one a worker
};

// Makes `model` of a bundle: its programs checked and planned, its tokenisers made. `model` should be new; after a
// failure its summary holds what was learnt before. Statuses are those of the parts, one line each; RESOURCE_EXHAUSTED
// where it needs more memory than the limit, with the sum and its parts, before any of that is taken.
absl::Status ServeBundle(Bundle bundle, const EngineOptions& options, ServedModel* model,
                         const LoadLimits& limits = {});

struct LoadedModels {
  std::vector<std::unique_ptr<ServedModel>> models;
  std::vector<v1::ModelSummary> failed;  // each with its folder, its error and what was learnt before

  std::int64_t memory_bytes() const;  // of all models
  std::int64_t engine_bytes() const;  // of one engine of each: what a worker more takes
};

// Loads every bundle (folder with a model.json) in `folder`, or `folder` where it is one, in order of name, each within
// what those before it have left of the limit. Each has a precision of its own, by the settings, whatever the options
// say. A bundle that fails is listed, not served. NOT_FOUND when the folder is missing or holds no bundle,
// FAILED_PRECONDITION when none of them loads (with each one's reason), or one is set to a precision that the machine
// lacks; INVALID_ARGUMENT for a setting of a model that there is not.
absl::StatusOr<LoadedModels> LoadModels(const std::string& folder, const EngineOptions& options,
                                        const LoadLimits& limits = {}, const PrecisionSettings& precisions = {});

}  // namespace heed
