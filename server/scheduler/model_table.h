// The models of a running scheduler, and how one comes and goes: each worker makes its engine; it is retired, and once
// nothing of it waits or runs each worker frees its engine; then it is gone. Workers do one such thing at a time,
// between two steps.
//
// Not thread-safe: the scheduler's lock guards it, but for what a ScheduledModel holds that is constant.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/scheduler/run_queue.h"
#include "server/scheduler/scheduler.h"
#include "server/scheduler/time_model.h"

namespace heed {

struct ScheduledModel {
  ScheduledModel(ModelId model_id, EngineFactory factory, std::shared_ptr<StepObserver> told, ModelQueue* waiting,
                 int workers)
      : id(model_id),
        make_engine(std::move(factory)),
        observer(std::move(told)),
        queue(waiting),
        free_rows(workers, 0),
        engines(workers, Engine::kWanted) {}

  const ModelId id;
  const EngineFactory make_engine;
  const std::shared_ptr<StepObserver> observer;  // may be null

  ModelQueue* const queue;
  TimeModel times;
  int max_rows = 0;            // of one engine
  int capacity = 0;            // of one engine: rows that it takes in
  std::vector<int> free_rows;  // by worker, as of its last boundary
  int items = 0;               // that are accepted and not over
  absl::Status failure;        // why an engine could not be made
  bool retired = false;
  std::function<void()> gone;  // of whoever retired it

  enum class Engine { kWanted, kTried, kFreed };
  std::vector<Engine> engines;  // by worker
};

// Destroys a model that no worker has any more, then tells whoever retired it. Not under the lock.
void Release(std::unique_ptr<ScheduledModel> model);

class ModelTable {
 public:
  // `queue` outlives it.
  ModelTable(int workers, RunQueue* queue) : workers_(workers), queue_(queue) {}

  // Changes when workers have something to make or to free.
  std::uint64_t version() const { return version_; }

  ScheduledModel* Add(EngineFactory factory, std::shared_ptr<StepObserver> observer);
  // Null where there is none of that id, or none any more.
  ScheduledModel* Find(ModelId id) const;
  const std::vector<std::unique_ptr<ScheduledModel>>& all() const { return models_; }
  // Whether every worker has tried to make its engine.
  static bool IsMade(const ScheduledModel& model);

  // It is to go, once it has no items. `gone`: to be called then.
  void Retire(ScheduledModel* model, std::function<void()> gone);
  // Its last item is over.
  void OnIdle(const ScheduledModel& model) {
    if (model.retired) ++version_;
  }

  // What a worker is to do next, and tells of when it is done.
  struct Change {
    ScheduledModel* model = nullptr;  // null: nothing
    bool make = false;                // an engine; else free it
  };
  Change Next(int worker) const;
  void OnTried(ScheduledModel* model, int worker, absl::Status made);
  // The model, which is not in the table any more, where this was its last engine: to be given to Release.
  std::unique_ptr<ScheduledModel> OnFreed(ScheduledModel* model, int worker);
  // All of them, when there are no workers any more.
  std::vector<std::unique_ptr<ScheduledModel>> TakeAll();

 private:
  const int workers_;
  RunQueue* const queue_;
  std::vector<std::unique_ptr<ScheduledModel>> models_;  // by id
  ModelId next_id_ = 0;
  std::uint64_t version_ = 0;
};

}  // namespace heed
