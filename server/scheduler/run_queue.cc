#include "server/scheduler/run_queue.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace heed {
namespace {

bool IsCancelled(const WaitingRequest& request) {
  return request.cancelled != nullptr && request.cancelled->load(std::memory_order_relaxed);
}

}  // namespace

RunQueue::RunQueue(int models, const SchedulerOptions& options)
    : options_(options), classes_(models), sizes_(models, 0) {}

absl::Status RunQueue::Add(WaitingRequest request) {
  const auto jobs = static_cast<std::int64_t>(request.rows.size());
  if (request.running_bytes > options_.max_request_bytes) {
    return absl::OutOfRangeError(absl::StrCat("the request takes ", request.running_bytes,
                                              " bytes of memory while it is decoded; it may take at most ",
                                              options_.max_request_bytes));
  }
  HEED_RETURN_IF_ERROR(CheckRoom(jobs, request.waiting_bytes, /*at_least=*/false));

  auto flow = std::make_unique<Flow>();
  flow->request = std::move(request);
  flow->arrived = ++arrivals_;
  flow->waits_since = flow->request.arrival;
  for (int rows : flow->request.rows) flow->rows += rows;
  Class& mine = ClassOf(*flow);
  if (mine.empty()) {
    for (const Class& other : classes_[flow->request.model]) mine.passed = std::max(mine.passed, other.passed);
  }
  flow->tag = mine.tag + 1;
  (flow->request.running_bytes > 0 ? mine.fresh : mine.started).insert(flow.get());
  give_ups_.emplace(flow->request.give_up, flow->request.id);
  size_ += static_cast<int>(jobs);
  sizes_[flow->request.model] += static_cast<int>(jobs);
  rows_ += flow->rows;
  waiting_bytes_ += flow->request.waiting_bytes;
  const RequestId id = flow->request.id;
  flows_.emplace(id, std::move(flow));
  return absl::OkStatus();
}

absl::Status RunQueue::CheckRoom(std::int64_t jobs, std::int64_t bytes, bool at_least) const {
  const char* const least = at_least ? "at least " : "";
  if (bytes > options_.max_queue_bytes) {
    return absl::OutOfRangeError(absl::StrCat("the request takes ", least, bytes,
                                              " bytes of memory while it waits; it may take at most ",
                                              options_.max_queue_bytes));
  }
  if (size_ + jobs > options_.max_queue) {
    return absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", size_, " segments wait and at most ",
                                                     options_.max_queue, " may; this request has ", least, jobs));
  }
  if (waiting_bytes_ + bytes > options_.max_queue_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", waiting_bytes_, " bytes wait and at most ",
                                                     options_.max_queue_bytes, " may; this request has ", least,
                                                     bytes));
  }
  return absl::OkStatus();
}

std::optional<StartedJob> RunQueue::TakeNext(int model, int worker, const std::vector<WorkerLoad>& loads,
                                             absl::Time now) {
  auto& [interactive, batch] = classes_[model];
  const bool batch_first = batch.passed < interactive.passed;
  for (Class* of : {batch_first ? &batch : &interactive, batch_first ? &interactive : &batch}) {
    Flow* const flow = Head(of);
    if (flow == nullptr) continue;
    if (!ShouldTake(flow->request.rows[flow->next], model, worker, loads)) return std::nullopt;
    of->passed += flow->request.rows[flow->next] * RowCost(*flow, now);
    // One that was its turn but had nothing to start gains nothing by it.
    Class& other = of == &batch ? interactive : batch;
    if ((of == &batch) != batch_first) other.passed = std::max(other.passed, of->passed);
    return Start(flow, now);
  }
  return std::nullopt;
}

RunQueue::Flow* RunQueue::Head(Class* of) {
  Flow* const started = of->started.empty() ? nullptr : *of->started.begin();
  Flow* const fresh = of->fresh.empty() ? nullptr : *of->fresh.begin();
  if (fresh == nullptr) return started;
  if (started != nullptr && ByTag()(started, fresh)) return started;
  return MayLease(fresh) ? fresh : started;
}

bool RunQueue::MayLease(const Flow* flow) {
  std::int64_t bytes = leased_bytes_ + flow->request.running_bytes;
  bool claimed = false;
  for (const Flow* claim : claims_) {
    claimed = claim == flow;
    if (claimed) break;
    bytes += claim->request.running_bytes;
  }
  if (bytes <= options_.max_request_bytes) return true;
  if (!claimed) claims_.push_back(flow);
  return false;
}

bool RunQueue::ShouldTake(int rows, int model, int worker, const std::vector<WorkerLoad>& loads) const {
  const WorkerLoad& mine = loads[worker];
  if (mine.free_rows[model] < rows) return false;
  const auto workers = static_cast<std::int64_t>(loads.size());
  std::int64_t all_rows = rows_;
  for (const WorkerLoad& load : loads) all_rows += load.rows;
  const std::int64_t share = (all_rows + workers - 1) / workers;
  if (mine.rows + rows <= share) return true;
  return std::none_of(loads.begin(), loads.end(), [&](const WorkerLoad& other) {
    return other.rows < mine.rows && other.free_rows[model] >= rows;
  });
}

double RunQueue::RowCost(const Flow& flow, absl::Time now) const {
  if (flow.request.priority == Priority::kInteractive) return 1;
  const double age = options_.batch_ageing > absl::ZeroDuration()
                         ? absl::FDivDuration(now - flow.waits_since, options_.batch_ageing)
                         : 1;
  return options_.batch_share - (options_.batch_share - 1) * std::clamp(age, 0.0, 1.0);
}

StartedJob RunQueue::Start(Flow* flow, absl::Time now) {
  Class& of = ClassOf(*flow);
  if (flow->next == 0) {
    waiting_bytes_ -= flow->request.waiting_bytes;
    leased_bytes_ += flow->request.running_bytes;
    std::erase(claims_, flow);
  }
  of.fresh.erase(flow);
  of.started.erase(flow);
  of.tag = std::max(of.tag, flow->tag);
  const StartedJob job = {flow->request.id, static_cast<int>(flow->next), flow->request.rows[flow->next]};
  flow->tag += job.rows;
  flow->rows -= job.rows;
  flow->waits_since = now;
  rows_ -= job.rows;
  --size_;
  --sizes_[flow->request.model];
  if (++flow->next < flow->request.rows.size()) {
    of.started.insert(flow);
  } else {
    give_ups_.erase({flow->request.give_up, flow->request.id});
    flows_.erase(job.request);
  }
  return job;
}

int RunQueue::Erase(Flow* flow) {
  Class& of = ClassOf(*flow);
  of.fresh.erase(flow);
  of.started.erase(flow);
  std::erase(claims_, flow);
  give_ups_.erase({flow->request.give_up, flow->request.id});
  if (flow->next == 0) waiting_bytes_ -= flow->request.waiting_bytes;
  const int jobs = static_cast<int>(flow->request.rows.size() - flow->next);
  size_ -= jobs;
  sizes_[flow->request.model] -= jobs;
  rows_ -= flow->rows;
  flows_.erase(flow->request.id);
  return jobs;
}

void RunQueue::TakeDead(absl::Time now, bool look_at_flags, std::vector<DroppedJobs>* dropped) {
  const std::size_t before = dropped->size();
  for (const auto& [give_up, id] : give_ups_) {
    if (give_up > now) break;
    dropped->push_back({id, 0});
  }
  if (look_at_flags) {
    for (const auto& [id, flow] : flows_) {
      if (flow->request.give_up > now && IsCancelled(flow->request)) dropped->push_back({id, 0});
    }
  }
  for (std::size_t i = before; i < dropped->size(); ++i) (*dropped)[i].jobs = Remove((*dropped)[i].request);
}

int RunQueue::Remove(RequestId id) {
  const auto found = flows_.find(id);
  return found == flows_.end() ? 0 : Erase(found->second.get());
}

std::vector<DroppedJobs> RunQueue::TakeAll() {
  std::vector<DroppedJobs> dropped;
  while (!flows_.empty()) {
    const RequestId id = flows_.begin()->first;
    dropped.push_back({id, Remove(id)});
  }
  return dropped;
}

absl::Time RunQueue::next_give_up() const {
  return give_ups_.empty() ? absl::InfiniteFuture() : give_ups_.begin()->first;
}

std::int64_t RunQueue::RowsAhead(int model, Priority priority, std::int64_t rows) const {
  const Class& of = classes_[model][static_cast<std::size_t>(priority)];
  // Each has one at least, and this is the look that refusals by the thousand take.
  if (rows == 1) return static_cast<std::int64_t>(of.fresh.size() + of.started.size());
  std::int64_t ahead = 0;
  for (const Flows* flows : {&of.fresh, &of.started}) {
    for (const Flow* flow : *flows) ahead += std::min(flow->rows, rows);
  }
  return ahead;
}

}  // namespace heed
