#include "server/lifecycle/text_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/support/fake_clock.h"

namespace heed {
namespace {

using ::testing::ElementsAre;

TextTask Task(absl::Duration expected, std::function<bool()> step) {
  TextTask task;
  task.info.expected = expected;
  task.step = std::move(step);
  return task;
}

// One whole thing.
TextTask Whole(absl::Duration expected, std::function<void()> work) {
  return Task(expected, [work = std::move(work)] {
    work();
    return false;
  });
}

class HandDriven : public ::testing::Test {
 protected:
  // A task of `parts` parts of 1 ms that says in `order` when it has ended, and counts its parts in `parts_done`.
  TextTask Parts(int number, int parts, Priority priority = Priority::kInteractive) {
    TextTask task = Task(absl::Milliseconds(parts), [this, number, left = parts]() mutable {
      clock.Advance(absl::Milliseconds(1));
      if (--left > 0) return true;
      order.push_back(number);
      return false;
    });
    task.info.priority = priority;
    return task;
  }

  FakeClock clock;
  TextPool pool{0, {.slice = absl::Milliseconds(5)}, &clock};
  std::vector<int> order;
};

TEST_F(HandDriven, ASliceEndsOnceItsTimeIsOver) {
  pool.Submit(Parts(1, 12));
  const absl::Time start = clock.Now();
  EXPECT_TRUE(pool.RunSlice());
  EXPECT_EQ(clock.Now() - start, absl::Milliseconds(5));
  EXPECT_TRUE(pool.RunSlice());
  EXPECT_TRUE(pool.RunSlice());
  EXPECT_EQ(clock.Now() - start, absl::Milliseconds(12));
  EXPECT_FALSE(pool.RunSlice());
  EXPECT_EQ(pool.size(), 0);
}

// What a FIFO would do after a minute.
TEST_F(HandDriven, AShortTaskBesideSixtyLongOnesIsDoneWithinASliceOfItsTimeAlone) {
  for (int i = 0; i < 60; ++i) pool.Submit(Parts(i, 1000));
  for (int i = 0; i < 30; ++i) pool.RunSlice();
  const absl::Time start = clock.Now();
  pool.Submit(Parts(100, 2));
  while (order.empty()) ASSERT_TRUE(pool.RunSlice());
  EXPECT_THAT(order, ElementsAre(100));
  EXPECT_EQ(clock.Now() - start, absl::Milliseconds(2));
}

TEST_F(HandDriven, WhatATaskHoldsIsFreedAtItsEnd) {
  auto held = std::make_shared<int>(1);
  pool.Submit(Task(absl::Milliseconds(1), [held] { return false; }));
  EXPECT_EQ(held.use_count(), 2);
  pool.RunSlice();
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(HandDriven, APartMaySubmitAnother) {
  pool.Submit(Whole(absl::Milliseconds(1), [this] { pool.Submit(Parts(2, 1)); }));
  while (pool.RunSlice()) {
  }
  EXPECT_THAT(order, ElementsAre(2));
}

TEST(TextPool, DoesWhatWasSubmittedBeforeItGoes) {
  std::vector<int> order;
  {
    TextPool pool(1, {}, Clock::Real());
    // Equal and long, so that one thread does them, in order.
    for (int i = 0; i < 5; ++i) pool.Submit(Whole(absl::Seconds(1), [&order, i] { order.push_back(i); }));
  }
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4));
}

TEST(TextPool, DoesAsManyTasksAtOnceAsItHasThreads) {
  TextPool pool(2, {}, Clock::Real());
  absl::Notification first, second;
  // Each waits for the other: with one thread this would never end.
  pool.Submit(Whole(absl::Seconds(1), [&] {
    first.Notify();
    second.WaitForNotification();
  }));
  pool.Submit(Whole(absl::Seconds(1), [&] {
    second.Notify();
    first.WaitForNotification();
  }));
  first.WaitForNotification();
  second.WaitForNotification();
}

TEST(TextPool, AShortTaskDoesNotWaitForASliceThatTakesLong) {
  TextPool pool(1, {}, Clock::Real());
  absl::Notification begun, done;
  // A sentence of megabytes, that only ends once the short task has: with one thread this would never end.
  pool.Submit(Whole(absl::Seconds(1), [&] {
    begun.Notify();
    done.WaitForNotification();
  }));
  begun.WaitForNotification();
  pool.Submit(Whole(absl::Milliseconds(1), [&] { done.Notify(); }));
  done.WaitForNotification();
}

}  // namespace
}  // namespace heed
