#include "server/scheduler/memory_budget.h"

#include <gtest/gtest.h>

namespace heed {
namespace {

TEST(MemoryBudget, LeasesWhatThereIsAndTakesItBack) {
  MemoryBudget memory(100);
  ASSERT_TRUE(memory.MayLease(1, 60));
  memory.Lease(1, 60);
  EXPECT_EQ(memory.leased(), 60);
  EXPECT_FALSE(memory.MayLease(2, 41));
  memory.GiveBack(60);
  EXPECT_TRUE(memory.MayLease(2, 41));
  EXPECT_EQ(memory.leased(), 0) << "asking leases nothing";
}

TEST(MemoryBudget, NobodyTakesMemoryBeforeAnOlderClaim) {
  MemoryBudget memory(100);
  memory.Lease(1, 60);
  EXPECT_FALSE(memory.MayLease(2, 70));
  EXPECT_FALSE(memory.MayLease(3, 10)) << "2 has a claim";
  EXPECT_FALSE(memory.MayLease(2, 70)) << "its own claim does not count twice";
  memory.GiveBack(60);
  EXPECT_TRUE(memory.MayLease(2, 70));
  EXPECT_TRUE(memory.MayLease(3, 10));
  memory.Lease(2, 70);
  EXPECT_TRUE(memory.MayLease(4, 20)) << "the claim of 3 is behind nobody, and there is room beside it";
  EXPECT_FALSE(memory.MayLease(4, 25)) << "but not more than that";
}

TEST(MemoryBudget, AClaimGoesWithItsRequest) {
  MemoryBudget memory(100);
  memory.Lease(1, 60);
  EXPECT_FALSE(memory.MayLease(2, 70));
  memory.DropClaim(2);
  EXPECT_TRUE(memory.MayLease(3, 40));
}

}  // namespace
}  // namespace heed
