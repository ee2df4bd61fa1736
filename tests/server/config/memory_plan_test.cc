// The one account of memory and how it is split.
#include "server/config/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "server/config/flags.h"

namespace heed {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kMiB = 1 << 20;
constexpr ThreadCounts kThreads = {.all = 12, .text = 1, .workers = 2};

ServerOptions Options(const std::vector<std::string>& flags) {
  return ReadOptions(flags, [](const std::string&) { return std::nullopt; }).value();
}

MemoryPlan Plan(const std::vector<std::string>& flags, std::int64_t bound, std::int64_t models) {
  const auto plan = PlanMemoryParts(Options(flags), {bound, "the test"}, kThreads, models);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.value_or(MemoryPlan{});
}

TEST(MemoryPlan, DefaultsStayWhereTheyFit) {
  const MemoryPlan plan = Plan({}, 16384 * kMiB, 200 * kMiB);
  EXPECT_EQ(plan.models, 200 * kMiB);
  EXPECT_EQ(plan.work, 1024 * kMiB);
  EXPECT_EQ(plan.queue, 256 * kMiB);
  EXPECT_EQ(plan.transport, 256 * kMiB);
  EXPECT_EQ(plan.unread, 256 * kMiB);
  EXPECT_EQ(plan.other, 64 * kMiB + 6 * kMiB + (160 * 1024 * 512 + 4 * kMiB) / 3 * 8);
  EXPECT_EQ(plan.spare(), 16384 * kMiB - plan.sum());
}

// A container of 1 GiB and no flags at all.
TEST(MemoryPlan, DefaultsShrinkByOneFactorWhereTheyDoNotFit) {
  const MemoryPlan plan = Plan({}, WithinLimit(1024 * kMiB), 120 * kMiB);
  EXPECT_LE(plan.sum(), 960 * kMiB);
  EXPECT_LT(plan.spare(), kMiB);
  EXPECT_GT(plan.work, 280 * kMiB);
  const double factor = static_cast<double>(plan.work) / static_cast<double>(1024 * kMiB);
  for (const std::int64_t part : {plan.queue, plan.transport, plan.unread}) {
    EXPECT_NEAR(static_cast<double>(part) / static_cast<double>(256 * kMiB), factor, 0.001);
  }
}

TEST(MemoryPlan, WhatIsGivenStaysAndTheOthersShareTheRest) {
  const MemoryPlan plan = Plan({"--max_request_bytes=402653184"}, 960 * kMiB, 120 * kMiB);
  EXPECT_EQ(plan.work, 384 * kMiB);
  EXPECT_LE(plan.sum(), 960 * kMiB);
  EXPECT_LT(plan.spare(), kMiB);
  EXPECT_GE(plan.unread, 64 * kMiB);  // the largest reply
  EXPECT_GE(plan.transport, 32 * kMiB);
  EXPECT_GE(plan.queue, 16 * kMiB);
}

// docs/container.md's flags.
TEST(MemoryPlan, FlagsOfASmallContainerFit) {
  const MemoryPlan plan = Plan({"--max_request_bytes=268435456", "--max_queue_bytes=67108864",
                                "--max_transport_bytes=67108864", "--max_segments=256"},
                               960 * kMiB, 200 * kMiB);
  EXPECT_EQ(plan.work, 256 * kMiB);
  EXPECT_EQ(plan.queue, 64 * kMiB);
  EXPECT_EQ(plan.transport, 64 * kMiB);
  EXPECT_GT(plan.unread, 128 * kMiB);
  EXPECT_LT(plan.spare(), kMiB);
}

TEST(MemoryPlan, EveryPartHasItsLeastAtAnyBoundThatFits) {
  for (std::int64_t bound = 300; bound < 4000; bound += 7) {
    const auto plan = PlanMemoryParts(Options({}), {bound * kMiB, "the test"}, kThreads, 10 * kMiB);
    if (!plan.ok()) {
      EXPECT_LT(bound, 490);
      continue;
    }
    EXPECT_LE(plan->sum(), bound * kMiB);
    EXPECT_GE(plan->work, 64 * kMiB);
    EXPECT_GE(plan->queue, 16 * kMiB);
    EXPECT_GE(plan->transport, 32 * kMiB);
    EXPECT_GE(plan->unread, 64 * kMiB);
  }
}

TEST(MemoryPlan, WhatDoesNotFitIsRefusedWithTheSumItsPartsAndTheBound) {
  const ServerOptions options = Options({"--max_request_bytes=1073741824", "--max_segments=1"});
  const auto room = RoomForModels(options, {1000 * kMiB, "15/16 of /sys/fs/cgroup/memory.max"}, kThreads);
  EXPECT_EQ(room.status().code(), absl::StatusCode::kInvalidArgument);
  const std::int64_t other = 70 * kMiB + (160 * 512 + 4 * kMiB) / 3 * 8;
  EXPECT_EQ(room.status().message(),
            absl::StrCat("memory: ", other + (1024 + 16 + 32 + 64) * kMiB,
                         " bytes are needed, more than the 1048576000 of 15/16 of /sys/fs/cgroup/memory.max: models 0, "
                         "work 1073741824 (--max_request_bytes), queue at least 16777216 (--max_queue_bytes), "
                         "transport at least 33554432 (--max_transport_bytes), unread at least 67108864 "
                         "(--max_unread_bytes), other ",
                         other));
}

TEST(MemoryPlan, WhatModelsMayTakeIsWhatTheLeastOfTheOthersLeaves) {
  const MemoryBound bound{1000 * kMiB, "the test"};
  const std::int64_t room = RoomForModels(Options({}), bound, kThreads).value();
  EXPECT_EQ(room, 1000 * kMiB - OtherBytes(Options({}), kThreads) - (64 + 16 + 32 + 64) * kMiB);
  const auto plan = PlanMemoryParts(Options({}), bound, kThreads, room);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->spare(), 0);
  EXPECT_FALSE(PlanMemoryParts(Options({}), bound, kThreads, room + 1).ok());
}

TEST(MemoryPlan, SumsThatNoNumberHoldsAreTooMuch) {
  ServerOptions options = Options({"--max_request_bytes=1125899906842624"});
  options.scheduler.max_request_bytes = std::numeric_limits<std::int64_t>::max();
  options.admission.max_segments = std::numeric_limits<int>::max();
  options.engine.max_source_tokens = std::numeric_limits<int>::max();
  const auto plan = PlanMemoryParts(options, {std::int64_t{1} << 60, "the test"}, kThreads, 1);
  EXPECT_THAT(std::string(plan.status().message()), HasSubstr("9223372036854775807 bytes are needed"));
}

// 224 MiB each by default.
TEST(MemoryPlan, TextThreadsAreNoMoreThanAnEighthOfTheAccountHolds) {
  EXPECT_EQ(MostTextThreads(Options({}), {960 * kMiB, ""}), 1);
  EXPECT_EQ(MostTextThreads(Options({}), {17921 * kMiB, ""}), 10);
  EXPECT_EQ(MostTextThreads(Options({}), {1, ""}), 1);
  EXPECT_EQ(MostTextThreads(Options({"--max_segments=1", "--max_source_tokens=1"}), {kMiB << 30, ""}), 1024);
}

TEST(MemoryPlan, IsWrittenIntoTheOptions) {
  ServerOptions options;
  ApplyMemoryPlan({.work = 1, .queue = 2, .transport = 3, .unread = 4}, &options);
  EXPECT_EQ(options.scheduler.max_request_bytes, 1);
  EXPECT_EQ(options.scheduler.max_queue_bytes, 2);
  EXPECT_EQ(options.max_transport_bytes, 3);
  EXPECT_EQ(options.max_unread_bytes, 4);
}

}  // namespace
}  // namespace heed
