#include "server/scheduler/scheduler.h"

#include <pthread.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status_macros.h"
#include "server/scheduler/cores.h"
#include "server/scheduler/deferred_wakes.h"
#include "server/scheduler/item.h"
#include "server/scheduler/model_share.h"
#include "server/scheduler/run_queue.h"
#include "server/scheduler/time_model.h"
#include "server/scheduler/worker.h"

namespace heed {
namespace {

constexpr char kDraining[] = "the server is shutting down";

class ThreadedScheduler : public Scheduler {
 public:
  ThreadedScheduler(const SchedulerOptions& options, int models, EngineFactory factory, StepObserver* observer,
                    Clock* clock)
      : options_(options),
        models_(models),
        factory_(std::move(factory)),
        observer_(observer),
        clock_(clock),
        queue_(models, options),
        times_(models),
        max_rows_(models, 0),
        capacity_(models, 0) {
    const int workers = options.workers > 0 ? options.workers : GrantedCores();
    {
      absl::MutexLock lock(&mu_);
      loads_.resize(workers, WorkerLoad{0, std::vector<int>(models, 0)});
      live_jobs_.resize(workers, 0);
    }
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this, i] { Run(i); });
    absl::MutexLock lock(&mu_);
    while (ready_ < workers) changed_.Wait(&mu_);
  }

  ~ThreadedScheduler() override { Drain(absl::ZeroDuration()); }

  bool has_engines() const {
    absl::MutexLock lock(&mu_);
    return !failed_;
  }

  absl::Status Schedule(std::unique_ptr<WorkItem>& work) override;
  absl::Status CheckRoom(const WorkItem& work) const override;
  void Nudge() override;
  void Drain(absl::Duration time) override;
  SchedulerStats stats() const override;

 private:
  void Run(int number);
  bool MakeEngines(Worker* me);  // false: one could not be made, and Start fails
  // The step boundary in three parts; engines, `progress`, `finished` and `done` are called outside of the
  // lock.
  void FindDead(Worker* me);
  void ReleaseDead(Worker* me);
  bool TakeWork(Worker* me);  // false: this worker is finished
  void StepModel(Worker* me, int model);
  void TellProgress(Worker* me, int model);
  void AccountStep(Worker* me, int model);

  absl::Status Add(std::unique_ptr<WorkItem>& work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckTime(const WaitingRequest& request, const WorkItem& work) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Publish(const Worker& me) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Admit(Worker* me) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // So many jobs fewer; the last moves the item to `over`.
  void FinishJobs(Item* item, int jobs, absl::Time now, std::vector<std::unique_ptr<Item>>* over)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropWaiting(const std::vector<DroppedJobs>& dropped, absl::Time now, std::vector<std::unique_ptr<Item>>* over)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndAll(std::vector<std::unique_ptr<Item>>* over) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Calls `done` of items that are over; they are nobody else's any more.
  void CallDone(std::vector<std::unique_ptr<Item>>* over);
  void GiveBack(std::int64_t bytes);

  // Constant.
  const SchedulerOptions options_;
  const int models_;
  const EngineFactory factory_;
  StepObserver* const observer_;
  Clock* const clock_;

  mutable absl::Mutex mu_;
  absl::CondVar work_;     // idle workers wait here
  absl::CondVar changed_;  // Start and Drain wait here
  RunQueue queue_ ABSL_GUARDED_BY(mu_);
  TimeModel times_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<RequestId, std::unique_ptr<Item>> items_ ABSL_GUARDED_BY(mu_);
  std::vector<WorkerLoad> loads_ ABSL_GUARDED_BY(mu_);            // by worker, as of its last boundary
  std::vector<int> live_jobs_ ABSL_GUARDED_BY(mu_);               // by worker
  std::vector<int> max_rows_ ABSL_GUARDED_BY(mu_);                // by model, of one engine
  int all_rows_ ABSL_GUARDED_BY(mu_) = 0;                         // of all engines
  std::vector<int> capacity_ ABSL_GUARDED_BY(mu_);                // by model, of one engine: rows that it takes in
  mutable std::int64_t early_refusals_ ABSL_GUARDED_BY(mu_) = 0;  // a look beforehand counts too
  RequestId next_request_ ABSL_GUARDED_BY(mu_) = 1;
  JobId next_job_ ABSL_GUARDED_BY(mu_) = 1;
  int ready_ ABSL_GUARDED_BY(mu_) = 0;
  bool failed_ ABSL_GUARDED_BY(mu_) = false;  // an engine could not be made
  int idle_ ABSL_GUARDED_BY(mu_) = 0;
  bool nudged_ ABSL_GUARDED_BY(mu_) = false;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;  // nothing is left, or what is left is given up
  bool joined_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time drain_until_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();

  // Touched by the constructor and by the one Drain that joins.
  std::vector<std::thread> threads_;
};

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

absl::Status ThreadedScheduler::Add(std::unique_ptr<WorkItem>& work) {
  if (draining_) return absl::UnavailableError(kDraining);
  const int jobs = static_cast<int>(work->jobs.size());
  WaitingRequest request = Waiting(*work, next_request_, clock_->Now());
  if (const int widest = *std::max_element(request.rows.begin(), request.rows.end()); widest > max_rows_[work->model]) {
    return absl::InvalidArgumentError(absl::StrCat("beam_size is ", widest, "; it must be at most ",
                                                   max_rows_[work->model], ", the rows of an engine"));
  }
  HEED_RETURN_IF_ERROR(CheckTime(request, *work));
  const absl::Time arrival = request.arrival;
  HEED_RETURN_IF_ERROR(queue_.Add(std::move(request)));
  items_[next_request_] = std::make_unique<Item>(next_request_, std::move(work), arrival);
  ++next_request_;
  QueueGauge::Publish(queue_.size(), all_rows_);
  // Each signal wakes another sleeper, and more than one per job would find nothing.
  for (int i = std::min(idle_, jobs); i > 0; --i) work_.Signal();
  return absl::OkStatus();
}

absl::Status ThreadedScheduler::CheckTime(const WaitingRequest& request, const WorkItem& work) const {
  if (work.deadline == absl::InfiniteFuture() || queue_.size(request.model) == 0) return absl::OkStatus();
  // With a time budget it takes what there is, and only its start matters.
  const bool has_budget = work.finish_by < work.deadline;
  const std::int64_t rows = has_budget ? request.rows[0] : std::accumulate(request.rows.begin(), request.rows.end(), 0);
  Backlog backlog;
  backlog.segments = queue_.size(request.model);
  backlog.rows_ahead = queue_.RowsAhead(request.model, request.priority, rows) + rows;
  for (const WorkerLoad& load : loads_) backlog.free_rows += load.free_rows[request.model];
  backlog.all_rows = static_cast<std::int64_t>(loads_.size()) * capacity_[request.model];
  absl::Status in_time = times_.Check(request.model, backlog, work.deadline - request.arrival, has_budget);
  if (!in_time.ok()) ++early_refusals_;
  return in_time;
}

absl::Status ThreadedScheduler::CheckRoom(const WorkItem& work) const {
  absl::MutexLock lock(&mu_);
  if (draining_) return absl::UnavailableError(kDraining);
  WaitingRequest least = Waiting(work, next_request_, clock_->Now());
  least.rows = {1};
  HEED_RETURN_IF_ERROR(CheckTime(least, work));
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
  for (const WorkerLoad& load : loads_) stats.rows_in_use += load.rows;
  for (int jobs : live_jobs_) stats.live_jobs += jobs;
  stats.max_rows = all_rows_;
  return stats;
}

void ThreadedScheduler::Run(int number) {
  pthread_setname_np(pthread_self(), absl::StrCat("heed-step-", number).substr(0, 15).c_str());
  Worker me(number, models_);
  if (!MakeEngines(&me)) return;
  for (;;) {
    FindDead(&me);
    ReleaseDead(&me);
    const bool more = TakeWork(&me);
    for (auto& [model, job] : me.joining) {
      me.engines[model]->Admit(job.id, &job.ref.item->work->jobs[job.ref.index]);
      me.live[model].push_back(job);
    }
    me.joining.clear();
    CallDone(&me.over);
    if (!more) return;
    for (int model = 0; model < models_; ++model) me.live_jobs[model] = me.engines[model]->live_jobs();
    if (const int model = me.share.Next(me.live_jobs); model >= 0) StepModel(&me, model);
  }
}

bool ThreadedScheduler::MakeEngines(Worker* me) {
  for (int model = 0; model < models_; ++model) me->engines.push_back(factory_(model));
  const bool all = std::find(me->engines.begin(), me->engines.end(), nullptr) == me->engines.end();
  absl::MutexLock lock(&mu_);
  failed_ = failed_ || !all;
  ++ready_;
  changed_.SignalAll();
  if (!all) return false;
  for (int model = 0; model < models_; ++model) {
    max_rows_[model] = me->engines[model]->max_rows();
    capacity_[model] = me->engines[model]->free_rows();
  }
  all_rows_ = std::accumulate(max_rows_.begin(), max_rows_.end(), 0) * static_cast<int>(loads_.size());
  Publish(*me);
  return true;
}

void ThreadedScheduler::FindDead(Worker* me) {
  absl::MutexLock lock(&mu_);
  const absl::Time now = clock_->Now();
  for (int model = 0; model < models_; ++model) {
    std::erase_if(me->live[model], [&](const LiveJob& job) {
      const bool ended = job.ref.item->CheckEnded(now);
      if (!ended && now < job.ref.item->work->finish_by) return false;
      me->leaving.push_back({model, job, !ended, {}});
      return true;
    });
  }
  // An item seen to be dead here may have jobs that still wait: they go at once too.
  queue_.TakeDead(now, nudged_ || !me->leaving.empty(), &me->dropped);
  nudged_ = false;
  DropWaiting(me->dropped, now, &me->over);
  if (!me->dropped.empty()) work_.SignalAll();  // their claims on memory are gone
  me->dropped.clear();
}

void ThreadedScheduler::ReleaseDead(Worker* me) {
  for (Leaving& leaving : me->leaving) {
    StepEngine& engine = *me->engines[leaving.model];
    if (leaving.finish) {
      leaving.result = Tell(leaving.job.ref, engine.Finish(leaving.job.id)).second;
    } else {
      engine.Release(leaving.job.id);
    }
  }
}

bool ThreadedScheduler::TakeWork(Worker* me) {
  absl::MutexLock lock(&mu_);
  const absl::Time now = clock_->Now();
  // The rows are free by now, and the numbers say so before anyone is told.
  for (Leaving& leaving : me->leaving) {
    const JobRef ref = leaving.job.ref;
    if (leaving.finish) ref.item->SetResult(ref.index, std::move(leaving.result), now);
    FinishJobs(ref.item, 1, now, &me->over);
  }
  me->leaving.clear();
  Publish(*me);
  Admit(me);
  QueueGauge::Publish(queue_.size(), all_rows_);
  if (live_jobs_[me->number] > 0 || !me->over.empty()) return true;
  if (stopping_) return false;
  if (nudged_) return true;
  ++idle_;
  if (options_.team != nullptr) options_.team->Lend(1);
  work_.WaitWithTimeout(&mu_, queue_.next_give_up() - now);
  if (options_.team != nullptr) options_.team->Lend(-1);
  --idle_;
  return true;
}

void ThreadedScheduler::Admit(Worker* me) {
  const absl::Time now = clock_->Now();
  WorkerLoad& load = loads_[me->number];
  for (int model = 0; model < models_; ++model) {
    while (std::optional<StartedJob> next = queue_.TakeNext(model, me->number, loads_, now)) {
      Item* const item = items_.find(next->request)->second.get();
      item->Start(next->index, now);
      load.rows += next->rows;
      load.free_rows[model] -= next->rows;
      ++live_jobs_[me->number];
      me->joining.emplace_back(model, LiveJob{next_job_++, {item, next->index}});
    }
  }
}

void ThreadedScheduler::StepModel(Worker* me, int model) {
  StepEngine* const engine = me->engines[model].get();
  const absl::Time start = clock_->Now();
  me->report.Clear();
  engine->Step(&me->report);
  const absl::Duration took = clock_->Now() - start;
  me->share.Charge(model, took);
  const DeferredWakes wakes;
  TellProgress(me, model);
  for (JobId id : me->report.finished) me->taken.push_back(Tell(Find(me->live[model], id), engine->Take(id)));
  AccountStep(me, model);
  if (observer_ != nullptr &&
      (me->report.rows > 0 || me->report.encoded_positions > 0 || !me->report.finished.empty())) {
    observer_->OnStep(model, me->report, took);
  }
  CallDone(&me->over);
}

// What a job told last comes with its end, before its result is taken.
void ThreadedScheduler::TellProgress(Worker* me, int model) {
  for (const std::vector<JobId>* ids : {&me->report.progressed, &me->report.finished}) {
    for (JobId id : *ids) {
      const JobRef ref = Find(me->live[model], id);
      const WorkItem& work = *ref.item->work;
      if (work.progress == nullptr || !work.jobs[ref.index].progress) continue;
      DecodedHypothesis fresh = me->engines[model]->TakeProgress(id);
      if (!fresh.tokens.empty()) work.progress(ref.index, std::move(fresh));
    }
  }
}

void ThreadedScheduler::AccountStep(Worker* me, int model) {
  std::vector<LiveJob>& live = me->live[model];
  absl::MutexLock lock(&mu_);
  const absl::Time now = clock_->Now();
  for (JobId id : me->report.first_token) {
    const JobRef ref = Find(live, id);
    ref.item->timings[ref.index].first_token = now - ref.item->arrival;
  }
  for (JobId id : me->report.finished) std::erase_if(live, [id](const LiveJob& job) { return job.id == id; });
  Publish(*me);
  for (auto& [ref, result] : me->taken) {
    ref.item->SetResult(ref.index, std::move(result), now);
    const JobTiming& timing = ref.item->timings[ref.index];
    times_.OnDone(model, timing.total - timing.queued);
    FinishJobs(ref.item, 1, now, &me->over);
  }
  me->taken.clear();
}

void ThreadedScheduler::Publish(const Worker& me) {
  WorkerLoad& load = loads_[me.number];
  load.rows = 0;
  live_jobs_[me.number] = 0;
  for (int model = 0; model < models_; ++model) {
    const StepEngine& engine = *me.engines[model];
    load.free_rows[model] = engine.free_rows();
    load.rows += engine.rows_in_use();
    live_jobs_[me.number] += engine.live_jobs();
  }
}

void ThreadedScheduler::FinishJobs(Item* item, int jobs, absl::Time now, std::vector<std::unique_ptr<Item>>* over) {
  item->remaining -= jobs;
  if (item->remaining > 0) return;
  item->CloseTimings(now);
  const auto found = items_.find(item->id);
  over->push_back(std::move(found->second));
  items_.erase(found);
  if (items_.empty()) changed_.SignalAll();
}

void ThreadedScheduler::DropWaiting(const std::vector<DroppedJobs>& dropped, absl::Time now,
                                    std::vector<std::unique_ptr<Item>>* over) {
  for (const DroppedJobs& jobs : dropped) {
    Item* const item = items_.find(jobs.request)->second.get();
    item->CheckEnded(now);
    FinishJobs(item, jobs.jobs, now, over);
  }
}

void ThreadedScheduler::EndAll(std::vector<std::unique_ptr<Item>>* over) {
  for (auto& [id, item] : items_) {
    item->ended.Update(absl::UnavailableError("the server shut down before the request was finished"));
  }
  DropWaiting(queue_.TakeAll(), clock_->Now(), over);
}

void ThreadedScheduler::CallDone(std::vector<std::unique_ptr<Item>>* over) {
  const DeferredWakes wakes;
  for (std::unique_ptr<Item>& item : *over) {
    const std::int64_t bytes = item->started > 0 ? item->work->running_bytes : 0;
    MemoryLease lease = bytes > 0 ? MemoryLease([this, bytes] { GiveBack(bytes); }) : MemoryLease();
    if (!item->ended.ok() || item->work->finished != nullptr) item->results.clear();
    item->work->done({std::move(item->ended), std::move(item->results), std::move(item->timings), std::move(lease)});
  }
  over->clear();
}

}  // namespace

std::unique_ptr<Scheduler> Scheduler::Start(const SchedulerOptions& options, int models, EngineFactory factory,
                                            StepObserver* observer, Clock* clock) {
  auto scheduler = std::make_unique<ThreadedScheduler>(options, models, std::move(factory), observer, clock);
  if (!scheduler->has_engines()) return nullptr;
  return scheduler;
}

}  // namespace heed
