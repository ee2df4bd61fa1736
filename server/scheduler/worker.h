// What one step thread of the scheduler owns.
//
// Not thread-safe: its thread's alone.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "engine/run/step_engine.h"
#include "server/scheduler/item.h"
#include "server/scheduler/model_share.h"
#include "server/scheduler/run_queue.h"

namespace heed {

struct Worker {
  Worker(int worker_number, int models) : number(worker_number), live(models), share(models), live_jobs(models) {}

  const int number;
  std::vector<std::unique_ptr<StepEngine>> engines;  // by model
  std::vector<std::vector<LiveJob>> live;            // by model
  ModelShare share;                                  // which model is stepped next
  std::vector<int> live_jobs;                        // by model; for `share`
  std::vector<Leaving> leaving;
  std::vector<std::pair<int, LiveJob>> joining;        // (model, job) to admit
  std::vector<DroppedJobs> dropped;                    // scratch
  std::vector<std::pair<JobRef, DecodeResult>> taken;  // results of a step
  std::vector<std::unique_ptr<Item>> over;             // whose `done` is to be called
  StepReport report;
};

}  // namespace heed
