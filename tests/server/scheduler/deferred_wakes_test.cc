#include "server/scheduler/deferred_wakes.h"

#include <gtest/gtest.h>

#include <thread>

namespace heed {
namespace {

class CountingSleeper : public Sleeper {
 public:
  void WakeUp() override { ++wakes; }
  int wakes = 0;
};

TEST(DeferredWakes, AThreadThatDoesNotDeferWakesAtOnce) {
  CountingSleeper sleeper;
  DeferredWakes::Wake(&sleeper);
  DeferredWakes::Wake(&sleeper);
  EXPECT_EQ(sleeper.wakes, 2);
}

TEST(DeferredWakes, OneThatDefersWakesEachSleeperOnceAtTheEnd) {
  CountingSleeper first, second;
  {
    const DeferredWakes wakes;
    DeferredWakes::Wake(&first);
    DeferredWakes::Wake(&second);
    DeferredWakes::Wake(&first);
    {
      const DeferredWakes within;
      DeferredWakes::Wake(&second);
    }
    EXPECT_EQ(first.wakes, 0);
    EXPECT_EQ(second.wakes, 0);
  }
  EXPECT_EQ(first.wakes, 1);
  EXPECT_EQ(second.wakes, 1);
  DeferredWakes::Wake(&first);
  EXPECT_EQ(first.wakes, 2) << "it defers no more";
}

TEST(DeferredWakes, OtherThreadsDoNotDefer) {
  CountingSleeper sleeper;
  const DeferredWakes wakes;
  std::thread([&sleeper] { DeferredWakes::Wake(&sleeper); }).join();
  EXPECT_EQ(sleeper.wakes, 1);
}

}  // namespace
}  // namespace heed
