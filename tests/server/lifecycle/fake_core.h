// The parts of a server around the echo model of tests/server/models/fake_model.h.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "server/lifecycle/core.h"
#include "tests/server/models/fake_model.h"

namespace heed {

// All but the text pool, whose threads are the test's matter. `scheduler`: null for a real one with a worker. `failed`:
// models that were not loaded.
inline void FillCore(Core* core, std::unique_ptr<Scheduler> scheduler, std::vector<v1::ModelSummary> failed = {}) {
  core->registry = FakeRegistry({{.split_sentences = true}}, std::move(failed));
  MetricsOptions metrics;
  for (const auto& model : core->registry->models()) metrics.models.push_back(model->summary);
  core->metrics = Metrics::Make(metrics);
  core->admission = std::make_unique<Admission>(core->registry.get(), core->options.admission);
  core->scheduler = std::move(scheduler);
  if (core->scheduler != nullptr) return;
  const Registry* registry = core->registry.get();
  core->scheduler = Scheduler::Start(
      {.workers = 1}, 1, [registry](int i) { return registry->models()[i]->plan->MakeEngine().value(); },
      core->metrics.get(), core->clock);
}

}  // namespace heed
