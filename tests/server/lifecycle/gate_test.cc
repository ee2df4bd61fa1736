#include "server/lifecycle/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "server/lifecycle/text_pool.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Gate, RefusesPastItsLimitUntilSomebodyLeaves) {
  Gate gate(2);
  ASSERT_TRUE(gate.Enter().ok());
  ASSERT_TRUE(gate.Enter().ok());
  const absl::Status full = gate.Enter();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()), HasSubstr("2 requests"));
  EXPECT_EQ(gate.inside(), 2);
  gate.Leave();
  EXPECT_TRUE(gate.Enter().ok());
}

TEST(Gate, OnceShutLetsNobodyInAndIsEmptyWhenTheLastHasLeft) {
  Gate gate(2);
  ASSERT_TRUE(gate.Enter().ok());
  gate.Shut();
  EXPECT_EQ(gate.Enter().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(gate.WaitEmpty(absl::ZeroDuration()));
  std::thread leaver([&] { gate.Leave(); });
  EXPECT_TRUE(gate.WaitEmpty(absl::InfiniteDuration()));
  leaver.join();
}

TEST(TextPool, RunsTasksInOrderAndFinishesThemBeforeItGoes) {
  std::vector<int> order;
  {
    TextPool pool(1);
    for (int i = 0; i < 5; ++i) pool.Submit([&order, i] { order.push_back(i); });
  }
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4));
}

TEST(TextPool, RunsAsManyTasksAtOnceAsItHasThreads) {
  TextPool pool(2);
  absl::Notification first, second;
  // Each waits for the other: with one thread this would never end.
  pool.Submit([&] {
    first.Notify();
    second.WaitForNotification();
  });
  pool.Submit([&] {
    second.Notify();
    first.WaitForNotification();
  });
  first.WaitForNotification();
  second.WaitForNotification();
}

}  // namespace
}  // namespace heed
