// The parts of a server around the echo model of tests/server/models/fake_model.h.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "server/lifecycle/model_life.h"
#include "tests/server/models/fake_model.h"

namespace heed {

// All but the text pool, whose threads are the test's matter. `scheduler`: null for a real one with a worker. `failed`:
// models that were not loaded.
inline void FillCore(Core* core, std::unique_ptr<Scheduler> scheduler, std::vector<v1::ModelSummary> failed = {}) {
  core->registry = std::make_unique<Registry>(std::vector<std::unique_ptr<ServedModel>>(), std::move(failed));
  core->metrics = Metrics::Make({});
  core->admission = std::make_unique<Admission>(core->registry.get(), core->options.admission);
  core->scheduler = scheduler != nullptr ? std::move(scheduler) : Scheduler::Start({.workers = 1}, core->clock);
  ServeModel(core, FakeModel({.split_sentences = true})).value();
}

}  // namespace heed
