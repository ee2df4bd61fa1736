// A scheduler with models from the start: their ids are 0, 1, ... in this order.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "gtest/gtest.h"
#include "server/scheduler/scheduler.h"

namespace heed {

inline std::unique_ptr<Scheduler> StartScheduler(const SchedulerOptions& options, int models,
                                                 std::function<std::unique_ptr<StepEngine>(int model)> factory,
                                                 std::shared_ptr<StepObserver> observer, Clock* clock) {
  std::unique_ptr<Scheduler> scheduler = Scheduler::Start(options, clock);
  for (int model = 0; model < models; ++model) {
    const auto id = scheduler->AddModel([factory, model] { return factory(model); }, observer);
    EXPECT_TRUE(id.ok() && *id == model) << id.status();
  }
  return scheduler;
}

}  // namespace heed
