// The rule of the scheduler: which requests wait, whose job starts next, who is given up. It is arithmetic over plain
// values, so every decision can be written down as a table; scheduler.cc adds the lock, the threads and the wake-up.
//
// Order within a class (interactive or batch) of a model: by tag, then by arrival. With V the tag of the job last
// started, a request's first job gets V + 1 and each later one the tag of the job before plus the rows of that job. So
// requests start in order of arrival, however wide their beams; after its first job a request gets as many rows as any
// other, so many texts of one cannot shut out a single text of another; and every tag is reached, so nothing starves.
//
// Between the classes of a model: a class that starts a job of r rows moves on by r times its cost, and the one less
// far goes next. An interactive row costs 1; a batch row costs batch_share, and less the longer the request has waited
// since its last start, down to 1 after batch_ageing. A class with nothing to start gains nothing by it.
//
// The job so chosen is never overtaken by a later one of its model while it lacks rows, however small the other, so a
// wide beam cannot starve. Models do not wait for each other's rows.
//
// Memory: a request's running_bytes are leased with its first start. One that is next but lacks them claims them: from
// then only what is left beside older claims is leased, whatever the class and model, so a large request cannot starve.
// Requests that have their lease go on meanwhile, or none might ever be given back.
//
// Spread: workers take jobs, nobody deals them out. A worker takes the next job if that leaves it within its share (all
// rows, running and waiting, over the workers), or if no worker that could take it has less to do. So an idle worker
// never leaves a job that fits, and some worker always takes the next one as soon as it fits anywhere.
//
// Not thread-safe: the scheduler's lock guards it.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/scheduler/scheduler.h"

namespace heed {

using RequestId = std::int64_t;

// A request none of whose jobs has started.
struct WaitingRequest {
  RequestId id = 0;
  int model = 0;
  Priority priority = Priority::kInteractive;
  std::vector<int> rows;  // that each job takes in an engine, at least 1; at least one job
  absl::Time arrival = absl::InfinitePast();
  absl::Time give_up = absl::InfiniteFuture();   // its deadline, or the end of its time budget
  const std::atomic<bool>* cancelled = nullptr;  // null: never; outlives the request
  std::int64_t waiting_bytes = 0, running_bytes = 0;
};

struct StartedJob {
  RequestId request = 0;
  int index = 0;  // in the request's jobs
  int rows = 1;
};

struct DroppedJobs {
  RequestId request = 0;
  int jobs = 0;  // of it, that will not start any more
};

// A worker as the rule sees it.
struct WorkerLoad {
  int rows = 0;                // in use, over all models
  std::vector<int> free_rows;  // by model
};

class RunQueue {
 public:
  RunQueue(int models, const SchedulerOptions& options);

  // Takes a request whole or refuses it whole, with the numbers: RESOURCE_EXHAUSTED while others leave it no room,
  // OUT_OF_RANGE where there never is enough.
  absl::Status Add(WaitingRequest request);
  // Its errors for so many jobs and bytes that wait, or at least as many.
  absl::Status CheckRoom(std::int64_t jobs, std::int64_t bytes, bool at_least) const;

  // Removes the job that `worker` starts next on its engine of `model`; none where it should not start one.
  std::optional<StartedJob> TakeNext(int model, int worker, const std::vector<WorkerLoad>& loads, absl::Time now);

  // Removes the requests whose time has come and, where `look_at_flags`, the cancelled ones; adds them to `dropped`.
  void TakeDead(absl::Time now, bool look_at_flags, std::vector<DroppedJobs>* dropped);
  // Removes what still waits of a request; how many jobs.
  int Remove(RequestId id);
  // Removes everything, in no stated order.
  std::vector<DroppedJobs> TakeAll();
  // The lease of a request that started is over.
  void GiveBack(std::int64_t bytes) { leased_bytes_ -= bytes; }

  int size() const { return size_; }                             // jobs
  int size(int model) const { return sizes_[model]; }            // jobs of a model
  std::int64_t waiting_bytes() const { return waiting_bytes_; }  // of requests that have not started
  std::int64_t leased_bytes() const { return leased_bytes_; }    // of those that have
  absl::Time next_give_up() const;                               // the earliest; InfiniteFuture: none
  // Waiting rows that start before the last of a request of `rows` rows that arrived now: of its class alone.
  std::int64_t RowsAhead(int model, Priority priority, std::int64_t rows) const;

 private:
  // A request of which jobs wait.
  struct Flow {
    WaitingRequest request;
    std::size_t next = 0;      // job
    std::int64_t tag = 0;      // of that job
    std::int64_t arrived = 0;  // its number among all requests
    std::int64_t rows = 0;     // of the jobs that wait
    absl::Time waits_since;    // its last start; before that its arrival
  };
  struct ByTag {
    bool operator()(const Flow* a, const Flow* b) const {
      return std::pair(a->tag, a->arrived) < std::pair(b->tag, b->arrived);
    }
  };
  using Flows = std::set<Flow*, ByTag>;
  struct Class {
    Flows fresh, started;  // without a lease; with one, or in need of none
    std::int64_t tag = 0;  // V
    double passed = 0;     // rows started, each times its cost
    bool empty() const { return fresh.empty() && started.empty(); }
  };

  Class& ClassOf(const Flow& flow) {
    return classes_[flow.request.model][static_cast<std::size_t>(flow.request.priority)];
  }
  // The class's next; null where none waits or all lack memory.
  Flow* Head(Class* of);
  // Whether a flow's memory is free for it; where not, it has a claim from now on.
  bool MayLease(const Flow* flow);
  bool ShouldTake(int rows, int model, int worker, const std::vector<WorkerLoad>& loads) const;
  double RowCost(const Flow& flow, absl::Time now) const;
  StartedJob Start(Flow* flow, absl::Time now);
  int Erase(Flow* flow);

  const SchedulerOptions options_;
  std::vector<std::array<Class, 2>> classes_;  // by model, then Priority
  absl::flat_hash_map<RequestId, std::unique_ptr<Flow>> flows_;
  std::set<std::pair<absl::Time, RequestId>> give_ups_;
  std::vector<const Flow*> claims_;  // oldest first; at most one of each class
  std::int64_t arrivals_ = 0;
  int size_ = 0;
  std::vector<int> sizes_;  // by model
  std::int64_t rows_ = 0;   // of the jobs that wait
  std::int64_t waiting_bytes_ = 0, leased_bytes_ = 0;
};

}  // namespace heed
