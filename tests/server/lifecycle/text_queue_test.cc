#include "server/lifecycle/text_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kMs = absl::Milliseconds(1);
constexpr absl::Time kStart = absl::UnixEpoch();

TextTaskInfo Info(int expected_ms, Priority priority = Priority::kInteractive, int memory = 0) {
  TextTaskInfo info;
  info.priority = priority;
  info.expected = expected_ms * kMs;
  info.memory = memory;
  return info;
}

// A queue whose time goes on by what slices take; each task takes what it was given to take.
class Driver {
 public:
  explicit Driver(TextQueueOptions options = {}) : options_(options), queue_(options) {}

  TextQueue::Id Add(const TextTaskInfo& info, int takes_ms) {
    const TextQueue::Id id = queue_.Add(info, now_);
    left_.resize(static_cast<std::size_t>(id) + 1);
    left_[static_cast<std::size_t>(id)] = takes_ms * kMs;
    return id;
  }
  TextQueue::Id Add(int ms, Priority priority = Priority::kInteractive, int memory = 0) {
    return Add(Info(ms, priority, memory), ms);
  }

  // The tasks of the next `slices` slices.
  std::vector<TextQueue::Id> Run(int slices) {
    std::vector<TextQueue::Id> ran;
    for (int i = 0; i < slices; ++i) {
      const auto id = queue_.Take(now_);
      if (!id.has_value()) break;
      Put(*id);
      ran.push_back(*id);
    }
    return ran;
  }
  // The tasks in the order in which they end.
  std::vector<TextQueue::Id> Ended() {
    while (!Run(1).empty()) {
    }
    return ended_;
  }
  void Put(TextQueue::Id id) {
    absl::Duration& left = left_[static_cast<std::size_t>(id)];
    const absl::Duration took = std::min(left, options_.slice);
    left -= took;
    now_ += took;
    if (left == absl::ZeroDuration()) ended_.push_back(id);
    queue_.Put(id, took, left == absl::ZeroDuration(), now_);
  }

  void Wait() { now_ += kMs; }
  const std::vector<TextQueue::Id>& ended() const { return ended_; }

  TextQueue& queue() { return queue_; }
  absl::Time now() const { return now_; }
  std::int64_t ms() const { return absl::ToInt64Milliseconds(now_ - kStart); }

 private:
  const TextQueueOptions options_;
  TextQueue queue_;
  absl::Time now_ = kStart;
  std::vector<absl::Duration> left_;  // by id
  std::vector<TextQueue::Id> ended_;
};

TEST(TextOrder, OneTaskHasAllTheSlices) {
  Driver driver;
  driver.Add(12);
  EXPECT_THAT(driver.Run(9), ElementsAre(1, 1, 1));
  EXPECT_EQ(driver.queue().size(), 0);
}

TEST(TextOrder, AShortTaskGoesBeforeSixtyLongOnesAtTheNextSlice) {
  Driver driver;
  for (int i = 0; i < 60; ++i) driver.Add(1000);
  driver.Run(100);
  const TextQueue::Id quick = driver.Add(1);
  EXPECT_THAT(driver.Run(1), ElementsAre(quick));
}

TEST(TextOrder, EqualTasksEndInOrderOfArrival) {
  Driver driver;
  for (int i = 0; i < 4; ++i) driver.Add(20);
  EXPECT_THAT(driver.Ended(), ElementsAre(1, 2, 3, 4));
}

// When each of these tasks ends if all that are there take turns of next to nothing, in ms.
struct Arrival {
  int at_ms = 0;
  int takes_ms = 0;
};
std::vector<double> EndsInTurns(const std::vector<Arrival>& arrivals) {
  std::vector<double> left, ends(arrivals.size(), 0);
  for (const Arrival& arrival : arrivals) left.push_back(arrival.takes_ms);
  constexpr double kStep = 0.01;
  for (double now = 0;; now += kStep) {
    std::vector<std::size_t> there;
    bool more = false;
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
      more = more || left[i] > 0;
      if (left[i] > 0 && arrivals[i].at_ms <= now) there.push_back(i);
    }
    if (!more) return ends;
    for (const std::size_t i : there) {
      left[i] -= kStep / static_cast<double>(there.size());
      if (left[i] <= 0) ends[i] = now;
    }
  }
}

TEST(TextOrder, NoTaskEndsMuchLaterThanIfAllTookTurnsAndMostEndEarlier) {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    std::vector<Arrival> arrivals;
    for (int i = 0; i < 30; ++i) {
      arrivals.push_back({static_cast<int>(random() % 600), 1 + static_cast<int>(random() % (i % 5 == 0 ? 100 : 8))});
    }
    std::sort(arrivals.begin(), arrivals.end(), [](const Arrival& a, const Arrival& b) { return a.at_ms < b.at_ms; });
    const std::vector<double> in_turns = EndsInTurns(arrivals);
    Driver driver;
    std::size_t come = 0, earlier = 0, ended = 0;
    while (ended < arrivals.size()) {
      for (; come < arrivals.size() && arrivals[come].at_ms <= driver.ms(); ++come) driver.Add(arrivals[come].takes_ms);
      if (driver.Run(1).empty()) driver.Wait();
      for (; ended < driver.ended().size(); ++ended) {
        const double bound = in_turns[static_cast<std::size_t>(driver.ended()[ended]) - 1];
        EXPECT_LE(static_cast<double>(driver.ms()), bound + 10) << "two slices";
        if (static_cast<double>(driver.ms()) < bound) ++earlier;
      }
    }
    EXPECT_GT(earlier, arrivals.size() / 2);
  }
}

TEST(TextOrder, LongTasksHaveWhatShortOnesLeave) {
  Driver driver;
  const TextQueue::Id big = driver.Add(50);
  std::vector<TextQueue::Id> ran;
  for (int i = 0; i < 60; ++i) {
    if (i % 5 == 0) {
      for (int k = 0; k < 4; ++k) driver.Add(5);
    }
    for (const TextQueue::Id id : driver.Run(1)) ran.push_back(id);
  }
  EXPECT_EQ(std::count(ran.begin(), ran.end(), big), 10) << "all of it is done";
  EXPECT_EQ(std::count(ran.begin(), ran.begin() + 25, big), 5) << "but the short ones go first";
}

// More short work comes than can be done; a longer task is not put off for ever all the same.
TEST(TextOrder, NothingStarvesUnderMoreWorkThanCanBeDone) {
  Driver driver;
  const TextQueue::Id first = driver.Add(20);
  std::vector<TextQueue::Id> ran;
  for (int i = 0; i < 2000; ++i) {
    driver.Add(5);
    if (i % 2 == 0) driver.Add(5);
    for (const TextQueue::Id id : driver.Run(1)) ran.push_back(id);
  }
  EXPECT_EQ(std::count(ran.begin(), ran.end(), first), 4);
}

TEST(TextOrder, ATaskThatTakesLongerThanExpectedStandsBackForThoseThatCome) {
  Driver driver;
  const TextQueue::Id liar = driver.Add(Info(5), 1000);
  EXPECT_THAT(driver.Run(8), ElementsAre(liar, liar, liar, liar, liar, liar, liar, liar));
  const TextQueue::Id honest = driver.Add(10);
  EXPECT_THAT(driver.Run(2), ElementsAre(honest, honest));
}

TEST(TextPriorities, BatchSlicesAreAPartOfThoseOfInteractiveOnes) {
  Driver driver({.batch_share = 4, .batch_ageing = absl::Hours(1)});
  const TextQueue::Id batch = driver.Add(1000, Priority::kBatch);
  driver.Add(1000);
  const std::vector<TextQueue::Id> ran = driver.Run(50);
  EXPECT_EQ(std::count(ran.begin(), ran.end(), batch), 10);
}

TEST(TextPriorities, BatchGrowsToAnEqualShareTheLongerItWaits) {
  // A slice of 5 ms after each 5 ms of waiting costs as much as an interactive one.
  Driver driver({.batch_share = 4, .batch_ageing = absl::Milliseconds(5)});
  const TextQueue::Id batch = driver.Add(1000, Priority::kBatch);
  driver.Add(1000);
  driver.Run(2);
  const std::vector<TextQueue::Id> ran = driver.Run(40);
  EXPECT_GE(std::count(ran.begin(), ran.end(), batch), 18);
}

TEST(TextPriorities, AnInteractiveTaskGoesBeforeBatchOnesThatCameEarlier) {
  Driver driver;
  for (int i = 0; i < 60; ++i) driver.Add(1000, Priority::kBatch);
  driver.Run(100);
  const TextQueue::Id quick = driver.Add(20);
  EXPECT_THAT(driver.Run(5), ElementsAre(quick, 1, quick, quick, quick))
      << "one in eight, however much batch had alone";
}

TEST(TextPriorities, AClassWithNothingToDoGainsNothingByIt) {
  Driver driver({.batch_share = 1});
  driver.Add(1000);
  driver.Run(100);
  const TextQueue::Id batch = driver.Add(1000, Priority::kBatch);
  const std::vector<TextQueue::Id> ran = driver.Run(20);
  EXPECT_EQ(std::count(ran.begin(), ran.end(), batch), 10);
}

TEST(TextMemory, WhatTasksUnderWayTakeIsBoundedHoweverManyWait) {
  for (const int threads : {1, 2, 3}) {
    TextQueue queue({.threads = threads});
    // Each one shorter than the one before, so each would go first.
    std::map<TextQueue::Id, int> under_way;
    for (int size = 1000; size > 0; size -= 7) {
      const TextQueue::Id id = queue.Add(Info(size, Priority::kInteractive, size), kStart);
      const auto taken = queue.Take(kStart);
      ASSERT_TRUE(taken.has_value());
      if (*taken == id) under_way[id] = size;
      queue.Put(*taken, absl::Microseconds(1), /*over=*/false, kStart);
      int sum = 0;
      for (const auto& [begun, memory] : under_way) sum += memory;
      ASSERT_LE(sum, threads * 1000 * 4 / 3);
    }
    EXPECT_GT(under_way.size(), static_cast<std::size_t>(3 * threads)) << "short ones do go before long ones";
  }
}

TEST(TextMemory, WhatKeepsTheNextFromBeginningGoesOnInItsPlace) {
  Driver driver({.threads = 1});
  const TextQueue::Id first = driver.Add(100, Priority::kInteractive, 100);
  driver.Run(1);
  const TextQueue::Id next = driver.Add(80, Priority::kInteractive, 80);
  driver.Add(200, Priority::kInteractive, 200);
  const TextQueue::Id small = driver.Add(20, Priority::kInteractive, 20);
  EXPECT_THAT(driver.Run(5), ElementsAre(small, small, small, small, first)) << "80 is more than a quarter of 100";
  EXPECT_THAT(driver.Ended(), ElementsAre(small, first, next, 3));
}

TEST(TextMemory, WhileThoseThatKeepTheNextAreWithOtherThreadsAnotherHasItsTurn) {
  TextQueue queue({.threads = 1});
  const TextQueue::Id first = queue.Add(Info(100, Priority::kInteractive, 100), kStart);
  ASSERT_EQ(queue.Take(kStart), first);
  queue.Add(Info(80, Priority::kInteractive, 80), kStart);
  EXPECT_FALSE(queue.CanTake(false));
  const TextQueue::Id reply = queue.Add(Info(500), kStart);
  EXPECT_EQ(queue.Take(kStart), reply);
}

TEST(TextMemory, RepliesTakeNoMoreAndSoMayAllBeUnderWay) {
  Driver driver({.threads = 1});
  driver.Add(100);
  driver.Run(1);
  const TextQueue::Id next = driver.Add(80);
  EXPECT_THAT(driver.Run(1), ElementsAre(next));
}

TEST(TextThreads, ATaskIsWithOneThreadAtATime) {
  TextQueue queue({.threads = 2});
  const TextQueue::Id a = queue.Add(Info(100), kStart);
  const TextQueue::Id b = queue.Add(Info(100), kStart);
  EXPECT_EQ(queue.Take(kStart), a);
  EXPECT_EQ(queue.Take(kStart), b);
  EXPECT_FALSE(queue.CanTake(false));
  EXPECT_EQ(queue.Take(kStart), std::nullopt);
  queue.Put(a, 5 * kMs, /*over=*/false, kStart);
  EXPECT_EQ(queue.Take(kStart), a);
}

TEST(TextThreads, OneForShortTasksTakesNoLongOneAndNoneThatTurnedOutLong) {
  Driver driver;
  TextQueue& queue = driver.queue();
  driver.Add(100);
  EXPECT_FALSE(queue.CanTake(true));
  EXPECT_EQ(queue.TakeShort(kStart), std::nullopt);
  const TextQueue::Id liar = driver.Add(Info(3), 100);
  ASSERT_TRUE(queue.CanTake(true));
  ASSERT_EQ(queue.TakeShort(kStart), liar);
  driver.Put(liar);
  EXPECT_EQ(queue.TakeShort(driver.now()), std::nullopt);
}

TEST(TextDead, CancelledAndOverdueTasksGoFirstToBeEnded) {
  Driver driver;
  driver.Add(10);
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  TextTaskInfo info = Info(1000, Priority::kBatch, 1000);
  info.cancelled = cancelled;
  const TextQueue::Id gone = driver.Add(info, 1);
  info.cancelled = nullptr;
  info.deadline = kStart + 6 * kMs;
  const TextQueue::Id late = driver.Add(info, 1);
  EXPECT_THAT(driver.Run(1), ElementsAre(1));
  cancelled->store(true);
  EXPECT_THAT(driver.Run(1), ElementsAre(gone));
  EXPECT_THAT(driver.Run(2), ElementsAre(late, 1)) << "6 ms are over";
  EXPECT_THAT(driver.Run(1), IsEmpty());
}

}  // namespace
}  // namespace heed
