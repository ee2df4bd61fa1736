// Who decodes next. Requests wait in one bounded queue; each worker, one thread per core that the quota grants, takes
// jobs from it at step boundaries into the engines that it owns, so requests join and leave the running batch freely.
//
// Contract: run_queue.h and model_queue.h state the rule in full. Every waiting request is promised a place that later
// ones cannot take: in order of arrival among requests, a row of each at a time; batch requests behind interactive ones
// at a bounded ratio. Schedule never blocks. Every item accepted has its `done` called exactly once, never under a
// lock, from a worker thread (from Drain where no worker has the item; from Schedule, before it returns, where it has
// no jobs), with: OK; DEADLINE_EXCEEDED or CANCELLED (seen at the next step boundary, waiting or running; its rows are
// free then); UNAVAILABLE (drain time over; retry elsewhere). A worker steps one model at a time; models with live jobs
// get equal shares of its time (model_share.h). An idle worker sleeps until work, a Nudge or the earliest deadline of a
// waiting job: idle costs no CPU.
//
// Models come and go while others are decoded (model_table.h): AddModel, RetireModel.
//
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "engine/run/job.h"
#include "engine/run/step_engine.h"
#include "server/scheduler/memory_lease.h"
#include "server/scheduler/options.h"
#include "server/scheduler/queue_gauge.h"

namespace heed {

// What a request's jobs tell about themselves when they are done, for replies and metrics. Zero: it did not come to it;
// a job that never started was queued all its time.
struct JobTiming {
  absl::Duration queued;       // arrival to first step boundary inside an engine
  absl::Duration first_token;  // arrival to first token
  absl::Duration total;        // arrival to end
};

// How an item ended.
struct WorkResult {
  absl::Status status;
  std::vector<DecodeResult> results;  // in order of the jobs; empty unless OK, and where WorkItem::finished had them
  std::vector<JobTiming> timings;     // one per job
  MemoryLease memory;                 // to be kept until the reply has been sent
};

// Everything that one RPC wants decoded: its jobs go in together and come back together.
struct WorkItem {
  ModelId model = kNoModel;
  std::vector<DecodeJob> jobs;  // may be empty: done at once
  absl::Time deadline = absl::InfiniteFuture();
  // When its time budget is over: it ends OK with what it has; results of jobs that made no step have no hypotheses.
  absl::Time finish_by = absl::InfiniteFuture();
  Priority priority = Priority::kInteractive;
  std::int64_t waiting_bytes = 0;  // memory that the request holds while it waits
  std::int64_t running_bytes = 0;  // memory that it takes from its first start until its reply has been sent
  // Null: no progress. Told, on the worker's thread and never under a lock, of tokens of jobs with
  // DecodeJob::progress that can change no more: quick. A job's calls come in order and before `done`; those of two
  // jobs may come at the same time, from two workers.
  std::function<void(int job, DecodedHypothesis fresh)> progress;
  // Null: results come with `done`. Else each comes as its job ends, under `progress`'s rules and after the last of it;
  // one that never started has none.
  std::function<void(int job, DecodeResult result)> finished;
  // Set by the RPC layer, which then calls Nudge: running jobs look at each step, waiting ones when nudged. Null:
  // never.
  std::shared_ptr<std::atomic<bool>> cancelled;
  // Required. Called once. Must be quick: a worker runs it between steps.
  std::function<void(WorkResult)> done;
};

// What the scheduler counts; read by metrics at scrape time and from callbacks below.
struct SchedulerStats {
  int models = 0;  // those that come or go included
  int queued_jobs = 0;
  int live_jobs = 0;
  int rows_in_use = 0;
  int max_rows = 0;
  std::int64_t queued_bytes = 0;
  std::int64_t max_queue_bytes = 0;
  std::int64_t leased_bytes = 0;  // of started requests
  std::int64_t max_request_bytes = 0;
  std::int64_t early_refusals = 0;  // so far, of requests whose deadline could not be met
};

// Told of each step of a model that did something, on the worker's thread, from several at a time: quick and
// allocation-free.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  virtual void OnStep(const StepReport& report, absl::Duration took) = 0;
};

// Makes one worker's engine of a model. Called once per worker, on that worker's thread, several at a time, so it is
// also the place to set up what is per thread (OpenMP's thread count). All engines of a model have the same max_rows.
using EngineFactory = std::function<absl::StatusOr<std::unique_ptr<StepEngine>>()>;

class Scheduler : public QueueGauge {
 public:
  virtual ~Scheduler() = default;

  // Starts the workers, without a model. `clock` outlives the scheduler.
  static std::unique_ptr<Scheduler> Start(const SchedulerOptions& options, Clock* clock);

  // Takes a model on; returns when each worker has made its engine. They do so at the same time, each between two of
  // its steps and one engine between two: so rows of other models wait for the making of one engine at most, some
  // milliseconds. The factory's error where a worker's engine cannot be made, once the others are freed; UNAVAILABLE
  // while draining. Both are held until the model is gone. Not from `done`, nor from what a worker calls otherwise.
  virtual absl::StatusOr<ModelId> AddModel(EngineFactory factory, std::shared_ptr<StepObserver> observer) = 0;

  // Takes no more work of the model; what it has accepted goes on as ever. After the last `done` each worker frees its
  // engine, on its own thread between two steps. Then `gone` is called, once, not under a lock: on a worker's thread,
  // so quick, or from Drain. Nothing of the model is left by then: factory and observer are destroyed. Returns at once;
  // from anywhere. NOT_FOUND, without `gone`, where there is no such model, or it is being retired already, or all is
  // drained.
  virtual absl::Status RetireModel(ModelId model, std::function<void()> gone) = 0;

  // Takes the item, or refuses it and leaves it untouched. Retry later: RESOURCE_EXHAUSTED (the queue is full, in
  // segments or bytes, or the predicted time does not fit the deadline; the message gives the numbers). Retry
  // elsewhere: UNAVAILABLE (draining, or the model is retired). Never retry: INVALID_ARGUMENT (a beam wider than an
  // engine), OUT_OF_RANGE (more memory than max_request_bytes).
  virtual absl::Status Schedule(std::unique_ptr<WorkItem>& item) = 0;

  // Whether Schedule would take a request of one row with this one's model, priority, deadline, finish_by and memory
  // now; its errors. Cheap: for a look before anything is spent on what will be refused. `work` needs no jobs.
  virtual absl::Status CheckRoom(const WorkItem& work) const = 0;

  // Has a worker look at the cancelled flags and deadlines of waiting jobs now.
  virtual void Nudge() = 0;

  // Refuses new work, waits at most `time` for the accepted, then ends the rest with UNAVAILABLE and joins the
  // workers: every `done` has returned when it does. Idempotent; a second call may cut the time of the first short.
  // Not from `done`.
  virtual void Drain(absl::Duration time) = 0;

  virtual SchedulerStats stats() const = 0;
};

}  // namespace heed
