#include "server/net/connection_counts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "server/net/byte_account.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(ConnectionCounts, NoMoreThanTheBoundAreOpen) {
  ConnectionCounts counts(2, 0);
  EXPECT_TRUE(counts.Enter("192.0.2.1"));
  EXPECT_FALSE(counts.full());
  EXPECT_TRUE(counts.Enter("192.0.2.1"));
  EXPECT_TRUE(counts.full());
  EXPECT_FALSE(counts.Enter("192.0.2.2"));
  EXPECT_EQ(counts.stats().open, 2);
  EXPECT_EQ(counts.stats().limit, 2);
  EXPECT_EQ(counts.stats().refused, 1);
  counts.Leave("192.0.2.1", "");
  EXPECT_TRUE(counts.Enter("192.0.2.2"));
}

TEST(ConnectionCounts, AnAddressHasABoundOfItsOwn) {
  ConnectionCounts counts(100, 2);
  EXPECT_TRUE(counts.Enter("192.0.2.1"));
  EXPECT_TRUE(counts.Enter("192.0.2.1"));
  EXPECT_FALSE(counts.Enter("192.0.2.1"));
  EXPECT_FALSE(counts.EnterOver("192.0.2.1"));
  EXPECT_TRUE(counts.Enter("192.0.2.2"));
  EXPECT_EQ(counts.stats().open, 3);
  EXPECT_EQ(counts.stats().refused, 2);
  counts.Leave("192.0.2.1", "");
  EXPECT_TRUE(counts.Enter("192.0.2.1"));
}

TEST(ConnectionCounts, LoopbackAndSocketsWithoutAddressHaveNone) {
  ConnectionCounts counts(100, 1);
  for (const char* address : {"127.0.0.1", "127.1.2.3", "::1", ""}) {
    EXPECT_TRUE(counts.Enter(address));
    EXPECT_TRUE(counts.Enter(address));
  }
}

TEST(ConnectionCounts, OverTheBoundOfAllOneMayBeLetIn) {
  ConnectionCounts counts(1, 0);
  EXPECT_TRUE(counts.Enter("192.0.2.1"));
  EXPECT_TRUE(counts.EnterOver("192.0.2.2"));
  EXPECT_EQ(counts.stats().open, 2);
  EXPECT_EQ(counts.stats().refused, 0);
}

TEST(ConnectionCounts, MovesToTheAddressThatAProxyNames) {
  ConnectionCounts counts(100, 1);
  EXPECT_TRUE(counts.Enter("10.0.0.1"));
  EXPECT_TRUE(counts.Move("10.0.0.1", "192.0.2.1"));
  EXPECT_TRUE(counts.Enter("10.0.0.1")) << "the proxy's own is free again";
  EXPECT_FALSE(counts.Move("10.0.0.1", "192.0.2.1")) << "that one has as many as may be";
  EXPECT_EQ(counts.stats().open, 2);
  EXPECT_EQ(counts.stats().refused, 1);
  counts.Leave("10.0.0.1", "address_connections");
  EXPECT_TRUE(counts.Enter("10.0.0.1"));
  counts.Leave("192.0.2.1", "");
  EXPECT_TRUE(counts.Enter("192.0.2.1"));
}

TEST(ConnectionCounts, CountsWhyTheyWereEnded) {
  ConnectionCounts counts(100, 1);
  for (const char* fault : {"protocol", "", "stalled_time", "protocol"}) {
    EXPECT_TRUE(counts.Enter("192.0.2.1"));
    counts.Leave("192.0.2.1", fault);
  }
  EXPECT_THAT(counts.stats().faults, ElementsAre(Pair("protocol", 2), Pair("stalled_time", 1)));
  EXPECT_EQ(counts.stats().open, 0);
}

TEST(ConnectionCounts, TheBoundIsLoweredToOneAtLeastAndNeverRaised) {
  ConnectionCounts counts(10, 0);
  counts.Lower(20);
  EXPECT_EQ(counts.stats().limit, 10);
  counts.Lower(-5);
  EXPECT_EQ(counts.stats().limit, 1);
}

TEST(ByteAccount, GivesUpToItsLimitAndNothingOfMore) {
  ByteAccount account(100);
  EXPECT_TRUE(account.Take(60));
  EXPECT_FALSE(account.Take(41));
  EXPECT_EQ(account.used(), 60);
  EXPECT_TRUE(account.Take(40));
  EXPECT_FALSE(account.Take(1));
  EXPECT_TRUE(account.Take(0));
  account.Give(100);
  EXPECT_EQ(account.used(), 0);
  EXPECT_EQ(account.limit(), 100);
}

TEST(ByteAccount, MoreThanEverIsNotTakenEither) {
  ByteAccount account(100);
  EXPECT_FALSE(account.Take(std::numeric_limits<std::int64_t>::max()));
  EXPECT_EQ(account.used(), 0);
}

}  // namespace
}  // namespace heed
