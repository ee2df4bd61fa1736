#include "server/scheduler/model_share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace heed {
namespace {

using ::testing::ElementsAre;

// Steps made of each model when a step of model i takes ms[i] and all are busy for `steps` steps.
std::vector<int> Steps(ModelShare* share, const std::vector<int>& ms, const std::vector<int>& live, int steps) {
  std::vector<int> made(ms.size(), 0);
  for (int i = 0; i < steps; ++i) {
    const int model = share->Next(live);
    share->Charge(model, absl::Milliseconds(ms[static_cast<std::size_t>(model)]));
    ++made[static_cast<std::size_t>(model)];
  }
  return made;
}

TEST(ModelShare, NothingIsNextWhereNothingIsLive) {
  ModelShare share(2);
  EXPECT_EQ(share.Next({0, 0}), -1);
  EXPECT_EQ(share.Next({0, 3}), 1);
}

TEST(ModelShare, EqualStepsTakeTurns) {
  ModelShare share(3);
  EXPECT_THAT(Steps(&share, {2, 2, 2}, {1, 1, 1}, 9), ElementsAre(3, 3, 3));
}

TEST(ModelShare, TimeIsSharedNotSteps) {
  ModelShare share(2);
  EXPECT_THAT(Steps(&share, {9, 1}, {1, 64}, 100), ElementsAre(10, 90));
}

TEST(ModelShare, TimeThatAModelDidNotWantIsNoCredit) {
  ModelShare share(2);
  Steps(&share, {1, 1}, {1, 0}, 1000);
  EXPECT_THAT(Steps(&share, {1, 1}, {1, 1}, 10), ElementsAre(5, 5));
  // Nor is it a debt that the other was alone meanwhile.
  Steps(&share, {1, 1}, {0, 1}, 1000);
  EXPECT_THAT(Steps(&share, {1, 1}, {1, 1}, 10), ElementsAre(5, 5));
}

TEST(ModelShare, ANewModelSharesFromNowOnAndOneThatGoesLeavesTheOthersTheirTimes) {
  ModelShare share(2);
  Steps(&share, {1, 1}, {1, 0}, 1000);
  share.Add();
  EXPECT_THAT(Steps(&share, {1, 1, 1}, {1, 0, 1}, 10), ElementsAre(5, 0, 5));
  share.Charge(2, absl::Milliseconds(4));  // it is ahead
  share.Remove(1);
  EXPECT_THAT(Steps(&share, {1, 1}, {1, 1}, 6), ElementsAre(5, 1));
}

TEST(ModelShare, AStepInWhichTheMachineSleptIsNoDebtOfHours) {
  ModelShare share(2);
  EXPECT_THAT(Steps(&share, {1, 1}, {1, 1}, 2), ElementsAre(1, 1));
  share.Charge(0, absl::Hours(3));
  EXPECT_THAT(Steps(&share, {1, 1}, {1, 1}, 2000), ElementsAre(500, 1500));
}

}  // namespace
}  // namespace heed
