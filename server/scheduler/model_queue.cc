#include "server/scheduler/model_queue.h"

#include <algorithm>

namespace heed {
namespace {

bool IsCancelled(const WaitingRequest& request) {
  return request.cancelled != nullptr && request.cancelled->load(std::memory_order_relaxed);
}

}  // namespace

void ModelQueue::Add(WaitingRequest request) {
  auto flow = std::make_unique<Flow>();
  flow->request = std::move(request);
  flow->arrived = ++arrivals_;
  flow->waits_since = flow->request.arrival;
  for (int rows : flow->request.rows) flow->rows += rows;
  Class& mine = ClassOf(*flow);
  if (mine.empty()) {
    for (const Class& other : classes_) mine.passed = std::max(mine.passed, other.passed);
  }
  flow->tag = mine.tag + 1;
  (flow->request.running_bytes > 0 ? mine.fresh : mine.started).insert(flow.get());
  give_ups_.emplace(flow->request.give_up, flow->request.id);
  size_ += static_cast<int>(flow->request.rows.size());
  rows_ += flow->rows;
  waiting_bytes_ += flow->request.waiting_bytes;
  const RequestId id = flow->request.id;
  flows_.emplace(id, std::move(flow));
}

std::optional<StartedJob> ModelQueue::TakeNext(absl::FunctionRef<bool(int rows)> has_rows, absl::Time now) {
  auto& [interactive, batch] = classes_;
  const bool batch_first = batch.passed < interactive.passed;
  for (Class* of : {batch_first ? &batch : &interactive, batch_first ? &interactive : &batch}) {
    Flow* const flow = Head(of);
    if (flow == nullptr) continue;
    const int rows = flow->request.rows[flow->next];
    if (!has_rows(rows)) return std::nullopt;
    of->passed += rows * RowCost(*flow, now);
    // One that was its turn but had nothing to start gains nothing by it.
    Class& other = of == &batch ? interactive : batch;
    if ((of == &batch) != batch_first) other.passed = std::max(other.passed, of->passed);
    return Start(flow, now);
  }
  return std::nullopt;
}

ModelQueue::Flow* ModelQueue::Head(Class* of) {
  Flow* const started = of->started.empty() ? nullptr : *of->started.begin();
  Flow* const fresh = of->fresh.empty() ? nullptr : *of->fresh.begin();
  if (fresh == nullptr) return started;
  if (started != nullptr && ByTag()(started, fresh)) return started;
  return memory_->MayLease(fresh->request.id, fresh->request.running_bytes) ? fresh : started;
}

double ModelQueue::RowCost(const Flow& flow, absl::Time now) const {
  if (flow.request.priority == Priority::kInteractive) return 1;
  const double age = options_.batch_ageing > absl::ZeroDuration()
                         ? absl::FDivDuration(now - flow.waits_since, options_.batch_ageing)
                         : 1;
  return options_.batch_share - (options_.batch_share - 1) * std::clamp(age, 0.0, 1.0);
}

StartedJob ModelQueue::Start(Flow* flow, absl::Time now) {
  Class& of = ClassOf(*flow);
  if (flow->next == 0) {
    waiting_bytes_ -= flow->request.waiting_bytes;
    memory_->Lease(flow->request.id, flow->request.running_bytes);
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
  if (++flow->next < flow->request.rows.size()) {
    of.started.insert(flow);
  } else {
    give_ups_.erase({flow->request.give_up, flow->request.id});
    flows_.erase(job.request);
  }
  return job;
}

int ModelQueue::Erase(Flow* flow) {
  Class& of = ClassOf(*flow);
  of.fresh.erase(flow);
  of.started.erase(flow);
  memory_->DropClaim(flow->request.id);
  give_ups_.erase({flow->request.give_up, flow->request.id});
  if (flow->next == 0) waiting_bytes_ -= flow->request.waiting_bytes;
  const int jobs = static_cast<int>(flow->request.rows.size() - flow->next);
  size_ -= jobs;
  rows_ -= flow->rows;
  flows_.erase(flow->request.id);
  return jobs;
}

void ModelQueue::TakeDead(absl::Time now, bool look_at_flags, std::vector<DroppedJobs>* dropped) {
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

int ModelQueue::Remove(RequestId id) {
  const auto found = flows_.find(id);
  return found == flows_.end() ? 0 : Erase(found->second.get());
}

void ModelQueue::TakeAll(std::vector<DroppedJobs>* dropped) {
  while (!flows_.empty()) {
    const RequestId id = flows_.begin()->first;
    dropped->push_back({id, Remove(id)});
  }
}

absl::Time ModelQueue::next_give_up() const {
  return give_ups_.empty() ? absl::InfiniteFuture() : give_ups_.begin()->first;
}

std::int64_t ModelQueue::RowsAhead(Priority priority, std::int64_t rows) const {
  const Class& of = classes_[static_cast<std::size_t>(priority)];
  // Each has one at least, and this is the look that refusals by the thousand take.
  if (rows == 1) return static_cast<std::int64_t>(of.fresh.size() + of.started.size());
  std::int64_t ahead = 0;
  for (const Flows* flows : {&of.fresh, &of.started}) {
    for (const Flow* flow : *flows) ahead += std::min(flow->rows, rows);
  }
  return ahead;
}

}  // namespace heed
