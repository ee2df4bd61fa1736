// The rule of the scheduler: which jobs wait, who starts next, who is given up. It is arithmetic over plain values, so
// every decision can be written down as a table; scheduler.cc adds the lock, the threads and the wake-up.
//
// Order: jobs of a model start in order of arrival. A job that fits no free rows yet is never overtaken by a later job
// of its model, however small, so a wide beam cannot starve. Models do not wait for each other: each has its own rows.
//
// Spread: workers take jobs, nobody deals them out. A worker takes the head if that leaves it within its fair share
// (all rows, running and waiting, over the workers), or if no worker that could take it has less to do. So an idle
// worker never leaves a job that fits, and some worker always takes the head as soon as it fits anywhere.
//
// Not thread-safe: the scheduler's lock guards it.
#pragma once

#include <atomic>
#include <deque>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/run/step_engine.h"

namespace heed {

// A job that has not started.
struct WaitingJob {
  JobId id = 0;
  int rows = 1;  // that it takes in an engine
  absl::Time deadline = absl::InfiniteFuture();
  const std::atomic<bool>* cancelled = nullptr;  // null: never; outlives the job
};

// A worker as the rule sees it.
struct WorkerLoad {
  int rows = 0;                // in use, over all models
  std::vector<int> free_rows;  // by model
};

// Past its deadline, or cancelled.
bool IsDead(const WaitingJob& job, absl::Time now);

class JobQueue {
 public:
  // Of `models` models; at most `max_jobs` jobs wait, over all of them.
  JobQueue(int models, int max_jobs);

  // Takes the jobs of one request whole, or refuses them whole: RESOURCE_EXHAUSTED with how many wait, may wait, came.
  absl::Status Add(int model, const std::vector<WaitingJob>& jobs);

  // Removes jobs that must not start and adds their ids to `dead`: those past their deadline and, where
  // `look_at_flags`, the cancelled ones. Costs nothing while there are none of the former and the latter are not asked
  // for.
  void TakeDead(absl::Time now, bool look_at_flags, std::vector<JobId>* dead);

  // Removes and returns the job that `worker` starts next on its engine of `model`; none where it should not start one.
  std::optional<WaitingJob> TakeNext(int model, int worker, const std::vector<WorkerLoad>& loads);

  // Removes every job, in no stated order.
  std::vector<JobId> TakeAll();

  int size() const { return size_; }
  // No waiting job has an earlier deadline than this; InfiniteFuture when none has one.
  absl::Time earliest_deadline() const { return earliest_deadline_; }

 private:
  bool ShouldTake(const WaitingJob& head, int model, int worker, const std::vector<WorkerLoad>& loads) const;

  const int max_jobs_;
  std::vector<std::deque<WaitingJob>> waiting_;  // by model, in order of arrival
  int size_ = 0;
  long rows_ = 0;  // that the waiting jobs will take
  absl::Time earliest_deadline_ = absl::InfiniteFuture();
};

}  // namespace heed
