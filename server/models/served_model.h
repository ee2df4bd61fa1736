// A model as it is served, and how those who need it hold it.
//
// Plain values; immutable once there is a handle, so safe to share.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/model/shortlist.h"
#include "engine/run/plan.h"
#include "heed/model/v1/model.pb.h"
#include "heed/v1/model.pb.h"
#include "server/metrics/metrics.h"
#include "server/scheduler/options.h"
#include "server/text/script_coverage.h"
#include "server/text/sentences.h"
#include "server/text/tokenizer.h"

namespace heed {

struct ServedModel {
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

  // Of one that the scheduler has.
  ModelId scheduled = kNoModel;
  std::shared_ptr<ModelMetrics> metrics;  // null: nothing is counted
};

// Keeps a model alive: a request has one from the choice of its model until its reply is made.
using ModelHandle = std::shared_ptr<const ServedModel>;

}  // namespace heed
