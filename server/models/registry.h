// The models that this server serves, and those that it could not load.
//
// Immutable after Load, so safe to share.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/bundle.h"
#include "engine/model/shortlist.h"
#include "engine/run/plan.h"
#include "heed/v1/model.pb.h"
#include "heed/v1/text.pb.h"
#include "server/models/precision.h"
#include "server/text/script_coverage.h"
#include "server/text/sentences.h"
#include "server/text/tokenizer.h"

namespace heed {

struct ServedModel {
  int index = 0;  // in Registry::models(), and the scheduler's model number
  v1::ModelSummary summary;
  model::v1::ModelSpec spec;
  std::string spec_json, card, parity_json;
  std::unique_ptr<Tokenizer> source_tokenizer;
  std::unique_ptr<Tokenizer> target_tokenizer;
  std::optional<SentenceSplitter> splitter;  // absent: texts are one segment
  std::optional<ScriptCoverage> coverage;    // absent: the bundle does not say what its sources are written in
  std::optional<Shortlist> shortlist;        // the bundle's, if it has one
  std::shared_ptr<const Plan> plan;
  std::int64_t memory_bytes = 0;  // that it takes at most, as many engines as the limits said included
  std::int64_t engine_bytes = 0;  // of one engine
  std::string precision_note;     // as ChosenPrecision has it
};

struct LoadLimits {
  std::int64_t max_bytes = std::numeric_limits<std::int64_t>::max();  // of memory, for all models together
  int engines = 1;  // that each model will have at least: one a worker
};

// Makes `model` of a bundle: its programs checked and planned, its tokenisers made. `model` should be new; after a
// failure its summary holds what was learnt before. Statuses are those of the parts, one line each; RESOURCE_EXHAUSTED
// where it needs more memory than the limit, with the sum and its parts, before any of that is taken.
absl::Status ServeBundle(Bundle bundle, const EngineOptions& options, ServedModel* model,
                         const LoadLimits& limits = {});

class Registry {
 public:
  // Loads every bundle (folder with a model.json) in `folder`, or `folder` where it is one, in order of name, each
  // within what those before it have left of the limit. Each has a precision of its own, by the settings, whatever the
  // options say. A bundle that fails is listed, not served. NOT_FOUND when the folder is missing or holds no bundle,
  // FAILED_PRECONDITION when none of them loads (with each one's reason), or one is set to a precision that the machine
  // lacks; INVALID_ARGUMENT for a setting of a model that there is not.
  static absl::StatusOr<std::unique_ptr<Registry>> Load(const std::string& folder, const EngineOptions& options,
                                                        const LoadLimits& limits = {},
                                                        const PrecisionSettings& precisions = {});

  // Of models made elsewhere (tests); `failed` as summaries() lists them.
  Registry(std::vector<std::unique_ptr<ServedModel>> models, std::vector<v1::ModelSummary> failed);

  const std::vector<std::unique_ptr<ServedModel>>& models() const { return models_; }
  std::int64_t memory_bytes() const;  // of all models
  std::int64_t engine_bytes() const;  // of one engine of each: what a worker more takes
  // Ready ones by name and version, then failed ones by folder.
  const std::vector<v1::ModelSummary>& summaries() const { return summaries_; }

  // The model a request means. INVALID_ARGUMENT (conflict or ambiguity, naming the candidates), NOT_FOUND (names
  // those served for the task).
  absl::StatusOr<const ServedModel*> Select(v1::Task task, const v1::ModelSelector& selector) const;
  // GetModel's look-up.
  absl::StatusOr<const ServedModel*> Find(const std::string& name, std::optional<std::string> version) const;

 private:
  std::vector<std::unique_ptr<ServedModel>> models_;
  std::vector<v1::ModelSummary> summaries_;
};

}  // namespace heed
