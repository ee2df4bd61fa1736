#include "engine/base/core_team.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <latch>
#include <set>
#include <thread>
#include <vector>

namespace heed {
namespace {

using testing::ElementsAre;

// How often each part was done, and who did one.
struct Done {
  explicit Done(int parts) : times(parts) {}
  auto Work() {
    return [this](int part, int who) {
      ++times[part];
      by |= 1u << who;
    };
  }
  std::vector<std::atomic<int>> times;
  std::atomic<unsigned> by = 0;
};

TEST(CoreTeam, DoesEveryPartOnceHoweverOftenItRuns) {
  CoreTeam team(3);
  team.Lend(3);
  for (int round = 0; round < 2000; ++round) {
    Done done(round % 17);
    team.Run(static_cast<int>(done.times.size()), done.Work());
    for (const auto& times : done.times) ASSERT_EQ(times, 1) << round;
    ASSERT_LT(done.by, 1u << 4);
  }
}

// Each part waits for all the others, so that they end only where that many threads do them at the same time.
TEST(CoreTeam, DoesPartsAtTheSameTime) {
  CoreTeam team(2);
  team.Lend(2);
  std::latch all(3);
  std::array<std::atomic<int>, 3> by{};
  team.Run(3, [&](int, int who) {
    all.arrive_and_wait();
    ++by[who];
  });
  for (const auto& times : by) EXPECT_EQ(times, 1);
}

TEST(CoreTeam, LeavesAllToTheCallerWhereNoCoreIsLent) {
  CoreTeam team(2);
  EXPECT_FALSE(team.available());
  for (const int lent : {0, 2, 0}) {
    team.Lend(lent);
    if (lent > 0) team.Lend(-lent);
    Done done(50);
    team.Run(50, done.Work());
    EXPECT_EQ(done.by, 1u);
    for (const auto& times : done.times) EXPECT_EQ(times, 1);
  }
}

TEST(CoreTeam, HelpsOneAtATimeAndAnotherIsNotKeptWaiting) {
  CoreTeam team(1);
  team.Lend(1);
  std::latch inside(2);
  std::set<int> of_another;
  // The first part starts another Run, which ends while both threads of the first are in their parts.
  std::atomic<bool> ended = false;
  team.Run(2, [&](int, int who) {
    inside.arrive_and_wait();
    if (who == 0) {
      std::thread([&] {
        team.Run(5, [&](int, int by) { of_another.insert(by); });
        ended = true;
      }).join();
    } else {
      while (!ended) std::this_thread::yield();
    }
  });
  EXPECT_THAT(of_another, ElementsAre(0));
}

TEST(CoreTeam, StartsEachOfItsThreads) {
  std::atomic<int> started = 0;
  {
    CoreTeam team(4, [&] { ++started; });
  }
  EXPECT_EQ(started, 4);
}

}  // namespace
}  // namespace heed
