#include "server/scheduler/scheduler.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "engine/base/status_macros.h"
#include "server/scheduler/cores.h"
#include "server/scheduler/threaded_scheduler.h"

namespace heed {
namespace {

constexpr char kDraining[] = "the server is shutting down";

}  // namespace

ThreadedScheduler::ThreadedScheduler(const SchedulerOptions& options, int workers, Clock* clock)
    : options_(options),
      workers_(workers),
      clock_(clock),
      queue_(options),
      models_(workers, &queue_),
      rows_(workers, 0),
      live_jobs_(workers, 0) {
  for (int i = 0; i < workers; ++i) threads_.emplace_back([this, i] { Run(i); });
}

absl::StatusOr<ModelId> ThreadedScheduler::AddModel(EngineFactory factory, std::shared_ptr<StepObserver> observer) {
  absl::Notification gone;
  absl::Status failure;
  {
    absl::MutexLock lock(&mu_);
    if (draining_) return absl::UnavailableError(kDraining);
    ScheduledModel* const model = models_.Add(std::move(factory), std::move(observer));
    work_.SignalAll();
    while (!stopping_ && !ModelTable::IsMade(*model)) changed_.Wait(&mu_);
    if (stopping_) return absl::UnavailableError(kDraining);  // Drain has the model
    if (model->failure.ok()) return model->id;
    failure = model->failure;
    models_.Retire(model, [&gone] { gone.Notify(); });
    work_.SignalAll();
  }
  gone.WaitForNotification();
  return failure;
}

absl::Status ThreadedScheduler::RetireModel(ModelId id, std::function<void()> gone) {
  absl::MutexLock lock(&mu_);
  ScheduledModel* const model = models_.Find(id);
  if (model == nullptr || model->retired) return absl::NotFoundError(absl::StrCat("no model has the id ", id));
  models_.Retire(model, std::move(gone));
  work_.SignalAll();
  return absl::OkStatus();
}

absl::Status ThreadedScheduler::Schedule(std::unique_ptr<WorkItem>& work) {
  {
    absl::MutexLock lock(&mu_);
    if (!work->jobs.empty()) return Add(work);
    if (draining_) return absl::UnavailableError(kDraining);
  }
  const std::unique_ptr<WorkItem> empty = std::move(work);
  empty->done({});
  return absl::OkStatus();
}

absl::StatusOr<ScheduledModel*> ThreadedScheduler::ModelOf(const WorkItem& work) const {
  if (draining_) return absl::UnavailableError(kDraining);
  ScheduledModel* const model = models_.Find(work.model);
  if (model == nullptr || model->retired) return absl::UnavailableError("the model is not served any more");
  return model;
}

absl::Status ThreadedScheduler::Add(std::unique_ptr<WorkItem>& work) {
  HEED_ASSIGN_OR_RETURN(ScheduledModel* const model, ModelOf(*work));
  const int jobs = static_cast<int>(work->jobs.size());
  WaitingRequest request = Waiting(*work, next_request_, clock_->Now());
  if (const int widest = *std::max_element(request.rows.begin(), request.rows.end()); widest > model->max_rows) {
    return absl::InvalidArgumentError(
        absl::StrCat("beam_size is ", widest, "; it must be at most ", model->max_rows, ", the rows of an engine"));
  }
  HEED_RETURN_IF_ERROR(CheckTime(*model, request, *work));
  const absl::Time arrival = request.arrival;
  HEED_RETURN_IF_ERROR(queue_.Add(model->queue, std::move(request)));
  items_[next_request_] = std::make_unique<Item>(next_request_, model, std::move(work), arrival);
  ++model->items;
  ++next_request_;
  QueueGauge::Publish(queue_.size(), all_rows_);
  // Each signal wakes another sleeper, and more than one per job would find nothing.
  for (int i = std::min(idle_, jobs); i > 0; --i) work_.Signal();
  return absl::OkStatus();
}

absl::Status ThreadedScheduler::CheckTime(const ScheduledModel& model, const WaitingRequest& request,
                                          const WorkItem& work) const {
  if (work.deadline == absl::InfiniteFuture() || model.queue->size() == 0) return absl::OkStatus();
  // With a time budget it takes what there is, and only its start matters.
  const bool has_budget = work.finish_by < work.deadline;
  const std::int64_t rows = has_budget ? request.rows[0] : std::accumulate(request.rows.begin(), request.rows.end(), 0);
  Backlog backlog;
  backlog.segments = model.queue->size();
  backlog.rows_ahead = model.queue->RowsAhead(request.priority, rows) + rows;
  for (const int rows_free : model.free_rows) backlog.free_rows += rows_free;
  backlog.all_rows = std::int64_t{workers_} * model.capacity;
  absl::Status in_time = model.times.Check(backlog, work.deadline - request.arrival, has_budget);
  if (!in_time.ok()) ++early_refusals_;
  return in_time;
}

absl::Status ThreadedScheduler::CheckRoom(const WorkItem& work) const {
  absl::MutexLock lock(&mu_);
  HEED_ASSIGN_OR_RETURN(const ScheduledModel* const model, ModelOf(work));
  WaitingRequest least = Waiting(work, next_request_, clock_->Now());
  least.rows = {1};
  HEED_RETURN_IF_ERROR(CheckTime(*model, least, work));
  return queue_.CheckRoom(1, work.waiting_bytes, /*at_least=*/true);
}

void ThreadedScheduler::GiveBack(std::int64_t bytes) {
  absl::MutexLock lock(&mu_);
  queue_.GiveBack(bytes);
  if (queue_.size() > 0) work_.SignalAll();
}

void ThreadedScheduler::Nudge() {
  absl::MutexLock lock(&mu_);
  nudged_ = true;
  work_.Signal();
  changed_.SignalAll();
}

void ThreadedScheduler::Drain(absl::Duration time) {
  std::vector<std::unique_ptr<Item>> over;
  std::vector<std::unique_ptr<ScheduledModel>> models;
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
    drain_until_ = std::min(drain_until_, clock_->Now() + time);
    changed_.SignalAll();
    while (!items_.empty() && !stopping_) {
      const absl::Duration left = drain_until_ - clock_->Now();
      if (left <= absl::ZeroDuration()) break;
      changed_.WaitWithTimeout(&mu_, left);
    }
    if (stopping_) {  // another call joins the workers
      while (!joined_) changed_.Wait(&mu_);
      return;
    }
    EndAll(&over);
    stopping_ = true;
    work_.SignalAll();
    changed_.SignalAll();
  }
  CallDone(&over);
  for (std::thread& thread : threads_) thread.join();
  {
    absl::MutexLock lock(&mu_);
    models = models_.TakeAll();
  }
  while (!models.empty()) {
    Release(std::move(models.back()));
    models.pop_back();
  }
  absl::MutexLock lock(&mu_);
  joined_ = true;
  changed_.SignalAll();
}

SchedulerStats ThreadedScheduler::stats() const {
  absl::MutexLock lock(&mu_);
  SchedulerStats stats;
  stats.queued_jobs = queue_.size();
  stats.queued_bytes = queue_.waiting_bytes();
  stats.leased_bytes = queue_.leased_bytes();
  stats.max_queue_bytes = options_.max_queue_bytes;
  stats.max_request_bytes = options_.max_request_bytes;
  stats.early_refusals = early_refusals_;
  for (const int rows : rows_) stats.rows_in_use += rows;
  for (const int jobs : live_jobs_) stats.live_jobs += jobs;
  stats.models = static_cast<int>(models_.all().size());
  stats.max_rows = all_rows_;
  return stats;
}

void ThreadedScheduler::EndAll(std::vector<std::unique_ptr<Item>>* over) {
  for (auto& [id, item] : items_) {
    item->ended.Update(absl::UnavailableError("the server shut down before the request was finished"));
  }
  DropWaiting(queue_.TakeAll(), clock_->Now(), over);
}

std::unique_ptr<Scheduler> Scheduler::Start(const SchedulerOptions& options, Clock* clock) {
  return std::make_unique<ThreadedScheduler>(options, options.workers > 0 ? options.workers : GrantedCores(), clock);
}

}  // namespace heed
