// The rule over all models: what is taken in, which worker starts a job, who is given up. With model_queue.h, the rule
// of one model, and memory_budget.h it is the scheduler's rule: arithmetic over plain values, so every decision can be
// written down as a table; the scheduler adds the lock, the threads and the wake-up.
//
// Models do not wait for each other's rows; they share the places in the queue and the memory.
//
// Spread: workers take jobs, nobody deals them out. A worker takes the next job if that leaves it within its share (all
// rows, running and waiting, over the workers), or if no worker that could take it has less to do. So an idle worker
// never leaves a job that fits, and some worker always takes the next one as soon as it fits anywhere.
//
// Not thread-safe: the scheduler's lock guards it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/scheduler/memory_budget.h"
#include "server/scheduler/model_queue.h"
#include "server/scheduler/options.h"

namespace heed {

// The workers as the rule sees them.
struct WorkerLoads {
  absl::Span<const int> rows;       // by worker: in use, over all models
  absl::Span<const int> free_rows;  // by worker: of the model in question; 0 where it has no engine of it
};

class RunQueue {
 public:
  explicit RunQueue(const SchedulerOptions& options) : options_(options), memory_(options.max_request_bytes) {}

  // It is there until RemoveModel, before which it is emptied.
  ModelQueue* AddModel();
  void RemoveModel(const ModelQueue* model);

  // Takes a request whole or refuses it whole, with the numbers: RESOURCE_EXHAUSTED while others leave it no room,
  // OUT_OF_RANGE where there never is enough.
  absl::Status Add(ModelQueue* model, WaitingRequest request);
  // Its errors for so many jobs and bytes that wait, or at least as many.
  absl::Status CheckRoom(std::int64_t jobs, std::int64_t bytes, bool at_least) const;

  // Removes the job of `model` that `worker` starts next; none where it should not start one.
  std::optional<StartedJob> TakeNext(ModelQueue* model, int worker, const WorkerLoads& loads, absl::Time now);

  // As ModelQueue has it, of all models.
  void TakeDead(absl::Time now, bool look_at_flags, std::vector<DroppedJobs>* dropped);
  std::vector<DroppedJobs> TakeAll();
  // The lease of a request that started is over.
  void GiveBack(std::int64_t bytes) { memory_.GiveBack(bytes); }

  int size() const;                                               // jobs
  std::int64_t waiting_bytes() const;                             // of requests that have not started
  std::int64_t leased_bytes() const { return memory_.leased(); }  // of those that have
  absl::Time next_give_up() const;                                // the earliest; InfiniteFuture: none

 private:
  bool ShouldTake(int rows, int worker, const WorkerLoads& loads) const;

  const SchedulerOptions options_;
  MemoryBudget memory_;
  std::vector<std::unique_ptr<ModelQueue>> models_;
};

}  // namespace heed
