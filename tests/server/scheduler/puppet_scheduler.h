// A scheduler for tests: its answers are the test's.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/scheduler/scheduler.h"
#include "tests/server/models/fake_model.h"

namespace heed {

// A scheduler whose items wait until the test answers them.
class PuppetScheduler : public Scheduler {
 public:
  absl::StatusOr<ModelId> AddModel(EngineFactory, std::shared_ptr<StepObserver>) override { return 0; }
  absl::Status RetireModel(ModelId, std::function<void()> gone) override {
    if (gone != nullptr) gone();
    return absl::OkStatus();
  }
  absl::Status Schedule(std::unique_ptr<WorkItem>& item) override {
    absl::MutexLock lock(&mu_);
    if (full_) return absl::ResourceExhaustedError("the queue is full: 4096 of 4096 segments wait");
    items_.push_back(std::move(item));
    return absl::OkStatus();
  }
  absl::Status CheckRoom(const WorkItem&) const override { return absl::OkStatus(); }
  void Nudge() override {
    absl::MutexLock lock(&mu_);
    ++nudges_;
  }
  // Ends everything, as a drain whose time is over.
  void Drain(absl::Duration) override {
    std::vector<std::unique_ptr<WorkItem>> items;
    {
      absl::MutexLock lock(&mu_);
      items.swap(items_);
    }
    for (auto& item : items) item->done({.status = absl::UnavailableError("drain time over")});
  }
  SchedulerStats stats() const override { return {}; }

  void SetCrowded(bool crowded) { Publish(crowded ? 2 : 0, /*rows=*/1); }

  void SetFull() {
    absl::MutexLock lock(&mu_);
    full_ = true;
  }
  std::unique_ptr<WorkItem> WaitForItem() {
    absl::MutexLock lock(&mu_);
    const auto has_item = [this] {
      mu_.AssertHeld();
      return !items_.empty();
    };
    mu_.Await(absl::Condition(&has_item));
    std::unique_ptr<WorkItem> item = std::move(items_.back());
    items_.pop_back();
    return item;
  }
  void WaitForNudge() {
    absl::MutexLock lock(&mu_);
    const auto nudged = [this] {
      mu_.AssertHeld();
      return nudges_ > 0;
    };
    mu_.Await(absl::Condition(&nudged));
  }

 private:
  mutable absl::Mutex mu_;
  std::vector<std::unique_ptr<WorkItem>> items_ ABSL_GUARDED_BY(mu_);
  int nudges_ ABSL_GUARDED_BY(mu_) = 0;
  bool full_ ABSL_GUARDED_BY(mu_) = false;
};

// Answers an item as the echo engine would.
inline void Echo(WorkItem* item) {
  std::vector<DecodeResult> results;
  for (const DecodeJob& job : item->jobs) {
    EchoEngine engine(64, 512);
    StepReport report;
    engine.Admit(1, &job);
    while (report.finished.empty()) engine.Step(&report);
    results.push_back(engine.Take(1));
  }
  const JobTiming timing{absl::Milliseconds(1), absl::Milliseconds(2), absl::Milliseconds(3)};
  item->done({.results = std::move(results), .timings = std::vector<JobTiming>(item->jobs.size(), timing)});
}

}  // namespace heed
