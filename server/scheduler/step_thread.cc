// What a step thread does: the loop, and what belongs to one step boundary.
#include <pthread.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/scheduler/deferred_wakes.h"
#include "server/scheduler/threaded_scheduler.h"

namespace heed {

void ThreadedScheduler::Run(int number) {
  pthread_setname_np(pthread_self(), absl::StrCat("heed-step-", number).substr(0, 15).c_str());
  Worker me(number);
  for (;;) {
    FindDead(&me);
    ReleaseDead(&me);
    const bool more = TakeWork(&me);
    for (auto& [model, job] : me.joining) {
      me.models[model].engine->Admit(job.id, &job.ref.item->work->jobs[job.ref.index]);
      me.models[model].live.push_back(job);
    }
    me.joining.clear();
    CallDone(&me.over);
    if (!more) return;
    if (me.behind) ChangeModels(&me);
    me.live_jobs.clear();
    for (const WorkerModel& model : me.models) me.live_jobs.push_back(model.engine->live_jobs());
    if (const int model = me.share.Next(me.live_jobs); model >= 0) StepModel(&me, model);
  }
}

void ThreadedScheduler::ChangeModels(Worker* me) {
  ModelTable::Change change;
  {
    absl::MutexLock lock(&mu_);
    if (stopping_) return;  // Drain has them
    const std::uint64_t version = models_.version();
    change = models_.Next(me->number);
    if (change.model == nullptr) me->version = version;
  }
  if (change.model == nullptr) return;
  if (change.make) {
    MakeEngine(me, change.model);
  } else {
    FreeEngine(me, change.model);
  }
}

void ThreadedScheduler::MakeEngine(Worker* me, ScheduledModel* model) {
  absl::StatusOr<std::unique_ptr<StepEngine>> engine = model->make_engine();
  const absl::Status made = engine.status();
  absl::MutexLock lock(&mu_);
  if (engine.ok()) {
    model->max_rows = (*engine)->max_rows();
    model->capacity = (*engine)->free_rows();
    me->models.push_back({model, *std::move(engine), {}});
    me->share.Add();
    Publish(*me);
    CountRows();
  }
  models_.OnTried(model, me->number, made);
  changed_.SignalAll();
}

void ThreadedScheduler::FreeEngine(Worker* me, ScheduledModel* model) {
  const auto found = std::find_if(me->models.begin(), me->models.end(),
                                  [model](const WorkerModel& each) { return each.model == model; });
  if (found != me->models.end()) {  // else it could not be made
    me->share.Remove(static_cast<int>(found - me->models.begin()));
    me->models.erase(found);
  }
  std::unique_ptr<ScheduledModel> gone;
  {
    absl::MutexLock lock(&mu_);
    gone = models_.OnFreed(model, me->number);
    CountRows();
  }
  if (gone != nullptr) Release(std::move(gone));
}

void ThreadedScheduler::FindDead(Worker* me) {
  absl::MutexLock lock(&mu_);
  const absl::Time now = clock_->Now();
  for (int model = 0; model < static_cast<int>(me->models.size()); ++model) {
    std::erase_if(me->models[model].live, [&](const LiveJob& job) {
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
    StepEngine& engine = *me->models[leaving.model].engine;
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
  me->behind = me->version != models_.version();
  if (live_jobs_[me->number] > 0 || !me->over.empty()) return true;
  if (stopping_) return false;
  if (nudged_ || me->behind) return true;
  ++idle_;
  if (options_.team != nullptr) options_.team->Lend(1);
  work_.WaitWithTimeout(&mu_, queue_.next_give_up() - now);
  if (options_.team != nullptr) options_.team->Lend(-1);
  --idle_;
  return true;
}

void ThreadedScheduler::Admit(Worker* me) {
  const absl::Time now = clock_->Now();
  for (int place = 0; place < static_cast<int>(me->models.size()); ++place) {
    ScheduledModel* const model = me->models[place].model;
    while (std::optional<StartedJob> next = queue_.TakeNext(model->queue, me->number, {rows_, model->free_rows}, now)) {
      Item* const item = items_.find(next->request)->second.get();
      item->Start(next->index, now);
      rows_[me->number] += next->rows;
      model->free_rows[me->number] -= next->rows;
      ++live_jobs_[me->number];
      me->joining.emplace_back(place, LiveJob{next_job_++, {item, next->index}});
    }
  }
}

void ThreadedScheduler::StepModel(Worker* me, int place) {
  WorkerModel* const model = &me->models[place];
  StepEngine* const engine = model->engine.get();
  const absl::Time start = clock_->Now();
  me->report.Clear();
  engine->Step(&me->report);
  const absl::Duration took = clock_->Now() - start;
  me->share.Charge(place, took);
  const DeferredWakes wakes;
  TellProgress(me, model);
  for (JobId id : me->report.finished) me->taken.push_back(Tell(Find(model->live, id), engine->Take(id)));
  AccountStep(me, model);
  StepObserver* const observer = model->model->observer.get();
  if (observer != nullptr &&
      (me->report.rows > 0 || me->report.encoded_positions > 0 || !me->report.finished.empty())) {
    observer->OnStep(me->report, took);
  }
  CallDone(&me->over);
}

// What a job told last comes with its end, before its result is taken.
void ThreadedScheduler::TellProgress(Worker* me, WorkerModel* model) {
  for (const std::vector<JobId>* ids : {&me->report.progressed, &me->report.finished}) {
    for (JobId id : *ids) {
      const JobRef ref = Find(model->live, id);
      const WorkItem& work = *ref.item->work;
      if (work.progress == nullptr || !work.jobs[ref.index].progress) continue;
      DecodedHypothesis fresh = model->engine->TakeProgress(id);
      if (!fresh.tokens.empty()) work.progress(ref.index, std::move(fresh));
    }
  }
}

void ThreadedScheduler::AccountStep(Worker* me, WorkerModel* model) {
  std::vector<LiveJob>& live = model->live;
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
    model->model->times.OnDone(timing.total - timing.queued);
    FinishJobs(ref.item, 1, now, &me->over);
  }
  me->taken.clear();
}

void ThreadedScheduler::Publish(const Worker& me) {
  int rows = 0, jobs = 0;
  for (const WorkerModel& model : me.models) {
    model.model->free_rows[me.number] = model.engine->free_rows();
    rows += model.engine->rows_in_use();
    jobs += model.engine->live_jobs();
  }
  rows_[me.number] = rows;
  live_jobs_[me.number] = jobs;
}

void ThreadedScheduler::CountRows() {
  all_rows_ = 0;
  for (const auto& model : models_.all()) all_rows_ += model->max_rows * workers_;
}

void ThreadedScheduler::FinishJobs(Item* item, int jobs, absl::Time now, std::vector<std::unique_ptr<Item>>* over) {
  item->remaining -= jobs;
  if (item->remaining > 0) return;
  item->CloseTimings(now);
  if (--item->model->items == 0) {
    models_.OnIdle(*item->model);
    if (item->model->retired) work_.SignalAll();
  }
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

}  // namespace heed
