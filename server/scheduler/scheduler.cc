#include "server/scheduler/scheduler.h"

#include <pthread.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/scheduler/queue.h"

namespace heed {
namespace {

int RowsOf(const DecodeJob& job) { return std::max(1, job.search.beam_size); }

// An accepted item. Everything but `work` is guarded by the scheduler's lock.
struct Item {
  std::unique_ptr<WorkItem> work;
  absl::Time arrival;
  int started = 0;
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

// Calls `done` of items that are over; they are nobody else's any more.
void CallDone(std::vector<std::unique_ptr<Item>>* items) {
  for (std::unique_ptr<Item>& item : *items) {
    if (!item->ended.ok()) item->results.clear();
    item->work->done({std::move(item->ended), std::move(item->results), std::move(item->timings), MemoryLease()});
  }
  items->clear();
}

class ThreadedScheduler : public Scheduler {
 public:
  ThreadedScheduler(const SchedulerOptions& options, int models, EngineFactory factory, StepObserver* observer,
                    Clock* clock)
      : models_(models),
        factory_(std::move(factory)),
        observer_(observer),
        clock_(clock),
        queue_(models, std::max(1, options.max_queue)),
        max_rows_(models, 0) {
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

  absl::Status Schedule(std::unique_ptr<WorkItem>& work) override;
  void Nudge() override;
  void Drain(absl::Duration time) override;
  SchedulerStats stats() const override;

 private:
  // One step thread and what only it touches.
  struct Worker {
    int number = 0;
    std::vector<std::unique_ptr<StepEngine>> engines;    // by model
    std::vector<std::vector<LiveJob>> live;              // by model
    std::vector<std::pair<int, LiveJob>> leaving;        // (model, job) to release
    std::vector<std::pair<int, LiveJob>> joining;        // (model, job) to admit
    std::vector<JobId> dead;                             // scratch
    std::vector<std::pair<JobRef, DecodeResult>> taken;  // results of a step
    std::vector<std::unique_ptr<Item>> over;             // whose `done` is to be called
    StepReport report;
  };

  void Run(int number);
  void MakeEngines(Worker* me);
  // The step boundary in three parts; engines and `done` are called outside of the lock.
  void FindDead(Worker* me);
  void ReleaseDead(Worker* me);
  bool TakeWork(Worker* me);  // false: this worker is finished
  void StepModel(Worker* me, int model);
  void AccountStep(Worker* me, int model);

  void Publish(const Worker& me) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Admit(Worker* me) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Marks the item as given up if it is past its deadline or cancelled; says whether it is given up.
  bool CheckEnded(Item* item, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // One job fewer; the last moves the item to `over`.
  void FinishJob(Item* item, absl::Time now, std::vector<std::unique_ptr<Item>>* over)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropWaiting(const std::vector<JobId>& ids, absl::Time now, std::vector<std::unique_ptr<Item>>* over)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndAll(std::vector<std::unique_ptr<Item>>* over) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Constant.
  const int models_;
  const EngineFactory factory_;
  StepObserver* const observer_;
  Clock* const clock_;

  mutable absl::Mutex mu_;
  absl::CondVar work_;     // idle workers wait here
  absl::CondVar changed_;  // Start and Drain wait here
  JobQueue queue_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<Item*, std::unique_ptr<Item>> items_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<JobId, JobRef> waiting_ ABSL_GUARDED_BY(mu_);
  std::vector<WorkerLoad> loads_ ABSL_GUARDED_BY(mu_);  // by worker, as of its last boundary
  std::vector<int> live_jobs_ ABSL_GUARDED_BY(mu_);     // by worker
  std::vector<int> max_rows_ ABSL_GUARDED_BY(mu_);      // by model, of one engine
  JobId next_id_ ABSL_GUARDED_BY(mu_) = 1;
  int ready_ ABSL_GUARDED_BY(mu_) = 0;
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
    if (draining_) return absl::UnavailableError("the server is shutting down");
    if (!work->jobs.empty()) {
      std::vector<WaitingJob> jobs;
      jobs.reserve(work->jobs.size());
      for (const DecodeJob& job : work->jobs) {
        jobs.push_back(
            {next_id_ + static_cast<JobId>(jobs.size()), RowsOf(job), work->deadline, work->cancelled.get()});
        if (jobs.back().rows > max_rows_[work->model]) {
          return absl::InvalidArgumentError(absl::StrCat("beam_size is ", jobs.back().rows, "; it must be at most ",
                                                         max_rows_[work->model], ", the rows of an engine"));
        }
      }
      if (absl::Status added = queue_.Add(work->model, jobs); !added.ok()) return added;

      auto item = std::make_unique<Item>();
      item->arrival = clock_->Now();
      item->remaining = static_cast<int>(jobs.size());
      item->results.resize(jobs.size());
      item->timings.resize(jobs.size());
      for (JobTiming& timing : item->timings) timing.queued = absl::InfiniteDuration();
      for (std::size_t i = 0; i < jobs.size(); ++i) waiting_[jobs[i].id] = {item.get(), static_cast<int>(i)};
      next_id_ += static_cast<JobId>(jobs.size());
      item->work = std::move(work);
      Item* const key = item.get();
      items_[key] = std::move(item);
      // Each signal wakes another sleeper, and more than one per job would find nothing.
      for (int i = std::min(idle_, static_cast<int>(jobs.size())); i > 0; --i) work_.Signal();
      return absl::OkStatus();
    }
  }
  const std::unique_ptr<WorkItem> empty = std::move(work);
  empty->done({});
  return absl::OkStatus();
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
  for (const WorkerLoad& load : loads_) stats.rows_in_use += load.rows;
  for (int jobs : live_jobs_) stats.live_jobs += jobs;
  for (int rows : max_rows_) stats.max_rows += rows * static_cast<int>(loads_.size());
  return stats;
}

void ThreadedScheduler::Run(int number) {
  pthread_setname_np(pthread_self(), absl::StrCat("heed-step-", number).substr(0, 15).c_str());
  Worker me;
  me.number = number;
  MakeEngines(&me);
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
    for (int model = 0; model < models_; ++model) {
      if (me.engines[model]->live_jobs() > 0) StepModel(&me, model);
    }
  }
}

void ThreadedScheduler::MakeEngines(Worker* me) {
  for (int model = 0; model < models_; ++model) me->engines.push_back(factory_(model));
  me->live.resize(models_);
  absl::MutexLock lock(&mu_);
  for (int model = 0; model < models_; ++model) max_rows_[model] = me->engines[model]->max_rows();
  Publish(*me);
  ++ready_;
  changed_.SignalAll();
}

void ThreadedScheduler::FindDead(Worker* me) {
  absl::MutexLock lock(&mu_);
  const absl::Time now = clock_->Now();
  for (int model = 0; model < models_; ++model) {
    std::erase_if(me->live[model], [&](const LiveJob& job) {
      mu_.AssertHeld();
      if (!CheckEnded(job.ref.item, now)) return false;
      me->leaving.emplace_back(model, job);
      return true;
    });
  }
  // An item seen to be dead here may have jobs that still wait: they go at once too.
  queue_.TakeDead(now, nudged_ || !me->leaving.empty(), &me->dead);
  nudged_ = false;
  DropWaiting(me->dead, now, &me->over);
  me->dead.clear();
}

void ThreadedScheduler::ReleaseDead(Worker* me) {
  for (const auto& [model, job] : me->leaving) me->engines[model]->Release(job.id);
}

bool ThreadedScheduler::TakeWork(Worker* me) {
  absl::MutexLock lock(&mu_);
  const absl::Time now = clock_->Now();
  // The rows are free by now, and the numbers say so before anyone is told.
  for (const auto& [model, job] : me->leaving) FinishJob(job.ref.item, now, &me->over);
  me->leaving.clear();
  Publish(*me);
  Admit(me);
  if (live_jobs_[me->number] > 0 || !me->over.empty()) return true;
  if (stopping_) return false;
  if (nudged_) return true;
  ++idle_;
  work_.WaitWithTimeout(&mu_, queue_.earliest_deadline() - now);
  --idle_;
  return true;
}

void ThreadedScheduler::Admit(Worker* me) {
  const absl::Time now = clock_->Now();
  WorkerLoad& load = loads_[me->number];
  for (int model = 0; model < models_; ++model) {
    while (std::optional<WaitingJob> next = queue_.TakeNext(model, me->number, loads_)) {
      const auto found = waiting_.find(next->id);
      const JobRef ref = found->second;
      waiting_.erase(found);
      ++ref.item->started;
      ref.item->timings[ref.index].queued = now - ref.item->arrival;
      load.rows += next->rows;
      load.free_rows[model] -= next->rows;
      ++live_jobs_[me->number];
      me->joining.emplace_back(model, LiveJob{next->id, ref});
    }
  }
}

void ThreadedScheduler::StepModel(Worker* me, int model) {
  StepEngine* const engine = me->engines[model].get();
  const absl::Time start = clock_->Now();
  me->report.Clear();
  engine->Step(&me->report);
  const absl::Duration took = clock_->Now() - start;
  for (JobId id : me->report.finished) {
    const auto job = std::find_if(me->live[model].begin(), me->live[model].end(),
                                  [id](const LiveJob& live) { return live.id == id; });
    me->taken.emplace_back(job->ref, engine->Take(id));
  }
  AccountStep(me, model);
  if (observer_ != nullptr &&
      (me->report.rows > 0 || me->report.encoded_positions > 0 || !me->report.finished.empty())) {
    observer_->OnStep(model, me->report, took);
  }
  CallDone(&me->over);
}

void ThreadedScheduler::AccountStep(Worker* me, int model) {
  std::vector<LiveJob>& live = me->live[model];
  absl::MutexLock lock(&mu_);
  const absl::Time now = clock_->Now();
  for (JobId id : me->report.first_token) {
    for (const LiveJob& job : live) {
      if (job.id == id) job.ref.item->timings[job.ref.index].first_token = now - job.ref.item->arrival;
    }
  }
  for (JobId id : me->report.finished) std::erase_if(live, [id](const LiveJob& job) { return job.id == id; });
  Publish(*me);
  for (auto& [ref, result] : me->taken) {
    ref.item->results[ref.index] = std::move(result);
    ref.item->timings[ref.index].total = now - ref.item->arrival;
    FinishJob(ref.item, now, &me->over);
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

bool ThreadedScheduler::CheckEnded(Item* item, absl::Time now) {
  if (!item->ended.ok()) return true;
  if (item->work->cancelled != nullptr && item->work->cancelled->load(std::memory_order_relaxed)) {
    item->ended = absl::CancelledError("the client cancelled the request");
  } else if (now >= item->work->deadline) {
    const std::size_t jobs = item->work->jobs.size();
    item->ended = absl::DeadlineExceededError(
        item->started == 0 ? absl::StrCat("the deadline passed while the request waited in the queue for ",
                                          absl::FormatDuration(now - item->arrival))
                           : absl::StrCat("the deadline passed while decoding: ", jobs - item->remaining, " of ", jobs,
                                          " segments were finished in ", absl::FormatDuration(now - item->arrival)));
  }
  return !item->ended.ok();
}

void ThreadedScheduler::FinishJob(Item* item, absl::Time now, std::vector<std::unique_ptr<Item>>* over) {
  if (--item->remaining > 0) return;
  for (JobTiming& timing : item->timings) {
    if (timing.total == absl::ZeroDuration()) timing.total = now - item->arrival;
    timing.queued = std::min(timing.queued, timing.total);
  }
  const auto found = items_.find(item);
  over->push_back(std::move(found->second));
  items_.erase(found);
  if (items_.empty()) changed_.SignalAll();
}

void ThreadedScheduler::DropWaiting(const std::vector<JobId>& ids, absl::Time now,
                                    std::vector<std::unique_ptr<Item>>* over) {
  for (JobId id : ids) {
    const auto found = waiting_.find(id);
    Item* const item = found->second.item;
    waiting_.erase(found);
    CheckEnded(item, now);
    FinishJob(item, now, over);
  }
}

void ThreadedScheduler::EndAll(std::vector<std::unique_ptr<Item>>* over) {
  for (auto& [key, item] : items_) {
    if (item->ended.ok()) {
      item->ended = absl::UnavailableError("the server shut down before the request was finished");
    }
  }
  DropWaiting(queue_.TakeAll(), clock_->Now(), over);
}

}  // namespace

std::unique_ptr<Scheduler> Scheduler::Start(const SchedulerOptions& options, int models, EngineFactory factory,
                                            StepObserver* observer, Clock* clock) {
  return std::make_unique<ThreadedScheduler>(options, models, std::move(factory), observer, clock);
}

}  // namespace heed
