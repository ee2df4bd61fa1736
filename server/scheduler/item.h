// An accepted item and what has become of its jobs so far.
//
// Not thread-safe: the scheduler's lock guards it, but for `work`, which nobody changes.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "server/scheduler/model_queue.h"
#include "server/scheduler/model_table.h"
#include "server/scheduler/scheduler.h"

namespace heed {

struct Item {
  Item(RequestId item_id, ScheduledModel* item_model, std::unique_ptr<WorkItem> item_work, absl::Time arrived);

  // Gives it up where it is cancelled or past its deadline; whether it is given up.
  bool CheckEnded(absl::Time now);
  // A job starts; a job has its result.
  void Start(int job, absl::Time now);
  void SetResult(int job, DecodeResult result, absl::Time now);
  // After the last job.
  void CloseTimings(absl::Time now);

  const RequestId id;
  ScheduledModel* const model;
  const std::unique_ptr<WorkItem> work;
  const absl::Time arrival;
  int started = 0;     // jobs
  int remaining = 0;   // jobs that wait or run
  absl::Status ended;  // not OK: its jobs are being given up, for this reason
  std::vector<DecodeResult> results;
  std::vector<JobTiming> timings;
};

// Where a job belongs.
struct JobRef {
  Item* item = nullptr;
  int index = 0;
};

// A job inside one of a worker's engines.
struct LiveJob {
  JobId id = 0;
  JobRef ref;
};

// One that leaves its engine before its end.
struct Leaving {
  int model = 0;  // its place in Worker::models
  LiveJob job;
  bool finish = false;  // its time budget is over: what it has is its result
  DecodeResult result;
};

// The job of that id, which is there.
JobRef Find(const std::vector<LiveJob>& live, JobId id);

// The job and its result or, where its item wants that at once and is given it, an empty one. Not under the lock.
std::pair<JobRef, DecodeResult> Tell(JobRef ref, DecodeResult result);

// What the rule sees of an item.
WaitingRequest Waiting(const WorkItem& work, RequestId id, absl::Time arrival);

}  // namespace heed
