#include "server/lifecycle/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace heed {
namespace {

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

}  // namespace
}  // namespace heed
