// The rule of one model: which of its requests goes next.
//
// Order within a class (interactive or batch): by tag, then by arrival. With V the tag of the job last started, a
// request's first job gets V + 1 and each later one the tag of the job before plus the rows of that job. So requests
// start in order of arrival, however wide their beams; after its first job a request gets as many rows as any other, so
// many texts of one cannot shut out a single text of another; and every tag is reached, so nothing starves.
//
// Between the classes: a class that starts a job of r rows moves on by r times its cost, and the one less far goes
// next. An interactive row costs 1; a batch row costs batch_share, and less the longer the request has waited since its
// last start, down to 1 after batch_ageing. A class with nothing to start gains nothing by it.
//
// The job so chosen is never overtaken by a later one while it lacks rows, however small the other, so a wide beam
// cannot starve. One that lacks memory has a claim on it (memory_budget.h).
//
// Not thread-safe: the scheduler's lock guards it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "server/scheduler/memory_budget.h"
#include "server/scheduler/options.h"

namespace heed {

// A request none of whose jobs has started.
struct WaitingRequest {
  RequestId id = 0;
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

class ModelQueue {
 public:
  // `memory` outlives it.
  ModelQueue(const SchedulerOptions& options, MemoryBudget* memory) : options_(options), memory_(memory) {}

  void Add(WaitingRequest request);

  // Removes the job that goes next; none where none may, or there are no rows for it: `has_rows` says.
  std::optional<StartedJob> TakeNext(absl::FunctionRef<bool(int rows)> has_rows, absl::Time now);

  // Removes the requests whose time has come and, where `look_at_flags`, the cancelled ones; adds them to `dropped`.
  void TakeDead(absl::Time now, bool look_at_flags, std::vector<DroppedJobs>* dropped);
  // Removes what still waits of a request; how many jobs.
  int Remove(RequestId id);
  // Removes everything, in no stated order.
  void TakeAll(std::vector<DroppedJobs>* dropped);

  int size() const { return size_; }                             // jobs
  std::int64_t rows() const { return rows_; }                    // of those
  std::int64_t waiting_bytes() const { return waiting_bytes_; }  // of requests that have not started
  absl::Time next_give_up() const;                               // the earliest; InfiniteFuture: none
  // Waiting rows that start before the last of a request of `rows` rows that arrived now: of its class alone.
  std::int64_t RowsAhead(Priority priority, std::int64_t rows) const;

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

  Class& ClassOf(const Flow& flow) { return classes_[static_cast<std::size_t>(flow.request.priority)]; }
  // The class's next; null where none waits or all lack memory.
  Flow* Head(Class* of);
  double RowCost(const Flow& flow, absl::Time now) const;
  StartedJob Start(Flow* flow, absl::Time now);
  int Erase(Flow* flow);

  const SchedulerOptions options_;
  MemoryBudget* const memory_;
  std::array<Class, 2> classes_;  // by Priority
  absl::flat_hash_map<RequestId, std::unique_ptr<Flow>> flows_;
  std::set<std::pair<absl::Time, RequestId>> give_ups_;
  std::int64_t arrivals_ = 0;
  int size_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t waiting_bytes_ = 0;
};

}  // namespace heed
