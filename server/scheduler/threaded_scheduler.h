// The scheduler as it is: the rule (run_queue.h) under a lock, and step threads. scheduler.cc has what callers do,
// step_thread.cc what workers do.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "server/scheduler/item.h"
#include "server/scheduler/model_table.h"
#include "server/scheduler/run_queue.h"
#include "server/scheduler/scheduler.h"
#include "server/scheduler/worker.h"

namespace heed {

class ThreadedScheduler : public Scheduler {
 public:
  ThreadedScheduler(const SchedulerOptions& options, int workers, Clock* clock);
  ~ThreadedScheduler() override { Drain(absl::ZeroDuration()); }

  absl::StatusOr<ModelId> AddModel(EngineFactory factory, std::shared_ptr<StepObserver> observer) override;
  absl::Status RetireModel(ModelId id, std::function<void()> gone) override;
  absl::Status Schedule(std::unique_ptr<WorkItem>& work) override;
  absl::Status CheckRoom(const WorkItem& work) const override;
  void Nudge() override;
  void Drain(absl::Duration time) override;
  SchedulerStats stats() const override;

 private:
  // The callers' side.
  absl::Status Add(std::unique_ptr<WorkItem>& work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The model that work may be of; UNAVAILABLE.
  absl::StatusOr<ScheduledModel*> ModelOf(const WorkItem& work) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckTime(const ScheduledModel& model, const WaitingRequest& request, const WorkItem& work) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndAll(std::vector<std::unique_ptr<Item>>* over) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void GiveBack(std::int64_t bytes);

  // A worker's.
  void Run(int number);
  // Makes an engine of a new model, or frees that of one that goes.
  void ChangeModels(Worker* me);
  void MakeEngine(Worker* me, ScheduledModel* model);
  void FreeEngine(Worker* me, ScheduledModel* model);
  // The step boundary in three parts; engines, `progress`, `finished` and `done` are called outside of the lock.
  void FindDead(Worker* me);
  void ReleaseDead(Worker* me);
  bool TakeWork(Worker* me);  // false: this worker is finished
  void StepModel(Worker* me, int place);
  static void TellProgress(Worker* me, WorkerModel* model);
  void AccountStep(Worker* me, WorkerModel* model);
  void Publish(const Worker& me) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CountRows() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Admit(Worker* me) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Of both. So many jobs fewer; the last moves the item to `over`.
  void FinishJobs(Item* item, int jobs, absl::Time now, std::vector<std::unique_ptr<Item>>* over)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropWaiting(const std::vector<DroppedJobs>& dropped, absl::Time now, std::vector<std::unique_ptr<Item>>* over)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Calls `done` of items that are over; they are nobody else's any more.
  void CallDone(std::vector<std::unique_ptr<Item>>* over);

  // Constant.
  const SchedulerOptions options_;
  const int workers_;
  Clock* const clock_;

  mutable absl::Mutex mu_;
  absl::CondVar work_;     // idle workers wait here
  absl::CondVar changed_;  // AddModel and Drain wait here
  RunQueue queue_ ABSL_GUARDED_BY(mu_);
  ModelTable models_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<RequestId, std::unique_ptr<Item>> items_ ABSL_GUARDED_BY(mu_);
  std::vector<int> rows_ ABSL_GUARDED_BY(mu_);                    // in use, by worker, as of its last boundary
  std::vector<int> live_jobs_ ABSL_GUARDED_BY(mu_);               // by worker
  mutable std::int64_t early_refusals_ ABSL_GUARDED_BY(mu_) = 0;  // a look beforehand counts too
  RequestId next_request_ ABSL_GUARDED_BY(mu_) = 1;
  JobId next_job_ ABSL_GUARDED_BY(mu_) = 1;
  int all_rows_ ABSL_GUARDED_BY(mu_) = 0;  // of all engines
  int idle_ ABSL_GUARDED_BY(mu_) = 0;
  bool nudged_ ABSL_GUARDED_BY(mu_) = false;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;  // nothing is left, or what is left is given up
  bool joined_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time drain_until_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();

  // Touched by the constructor and by the one Drain that joins.
  std::vector<std::thread> threads_;
};

}  // namespace heed
