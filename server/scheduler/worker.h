// What one step thread of the scheduler owns.
//
// Not thread-safe: its thread's alone.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/run/step_engine.h"
#include "server/scheduler/item.h"
#include "server/scheduler/model_share.h"
#include "server/scheduler/model_table.h"

namespace heed {

// A model that the worker has an engine of.
struct WorkerModel {
  ScheduledModel* model = nullptr;
  std::unique_ptr<StepEngine> engine;
  std::vector<LiveJob> live;
};

struct Worker {
  explicit Worker(int worker_number) : number(worker_number) {}

  const int number;
  std::uint64_t version = 0;        // of the models, as far as it has followed
  bool behind = false;              // it has not followed them to the last
  std::vector<WorkerModel> models;  // below, one is known by its place here
  ModelShare share;                 // which is stepped next
  std::vector<int> live_jobs;       // by model; for `share`
  std::vector<Leaving> leaving;
  std::vector<std::pair<int, LiveJob>> joining;        // (model, job) to admit
  std::vector<DroppedJobs> dropped;                    // scratch
  std::vector<std::pair<JobRef, DecodeResult>> taken;  // results of a step
  std::vector<std::unique_ptr<Item>> over;             // whose `done` is to be called
  StepReport report;
};

}  // namespace heed
