#include "server/scheduler/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

absl::Time At(int seconds) { return absl::FromUnixSeconds(seconds); }

std::vector<WaitingJob> Jobs(JobId first, std::vector<int> rows) {
  std::vector<WaitingJob> jobs;
  for (std::size_t i = 0; i < rows.size(); ++i) jobs.push_back({first + static_cast<JobId>(i), rows[i]});
  return jobs;
}

// One model: worker i has rows[i] in use of `of`.
std::vector<WorkerLoad> Loads(std::vector<int> rows, int of) {
  std::vector<WorkerLoad> loads;
  for (int used : rows) loads.push_back({used, {of - used}});
  return loads;
}

// Takes all that `worker` may, keeping `loads` up to date; the ids in order.
std::vector<JobId> TakeAllFor(int worker, JobQueue* queue, std::vector<WorkerLoad>* loads, int model = 0) {
  std::vector<JobId> ids;
  while (const auto job = queue->TakeNext(model, worker, *loads)) {
    ids.push_back(job->id);
    (*loads)[worker].rows += job->rows;
    (*loads)[worker].free_rows[model] -= job->rows;
  }
  return ids;
}

TEST(JobQueue, StartsJobsInOrderOfArrivalUntilTheRowsAreFull) {
  JobQueue queue(1, 100);
  ASSERT_TRUE(queue.Add(0, Jobs(1, {1, 1})).ok());
  ASSERT_TRUE(queue.Add(0, Jobs(3, {1, 1})).ok());
  std::vector<WorkerLoad> loads = Loads({5}, 8);
  EXPECT_THAT(TakeAllFor(0, &queue, &loads), ElementsAre(1, 2, 3));
  EXPECT_EQ(queue.size(), 1);
}

TEST(JobQueue, NeverLetsASmallJobOvertakeAWideBeamThatDoesNotFit) {
  JobQueue queue(1, 100);
  ASSERT_TRUE(queue.Add(0, Jobs(1, {5, 1, 1})).ok());
  std::vector<WorkerLoad> loads = Loads({4}, 8);
  EXPECT_THAT(TakeAllFor(0, &queue, &loads), IsEmpty());
  loads = Loads({3}, 8);
  EXPECT_THAT(TakeAllFor(0, &queue, &loads), ElementsAre(1));
  loads = Loads({0}, 8);
  EXPECT_THAT(TakeAllFor(0, &queue, &loads), ElementsAre(2, 3));
}

TEST(JobQueue, DoesNotHoldUpAModelBecauseAnotherIsFull) {
  JobQueue queue(2, 100);
  ASSERT_TRUE(queue.Add(0, Jobs(1, {2})).ok());
  ASSERT_TRUE(queue.Add(1, Jobs(2, {2})).ok());
  std::vector<WorkerLoad> loads = {{8, {0, 8}}};
  EXPECT_THAT(TakeAllFor(0, &queue, &loads, 0), IsEmpty());
  EXPECT_THAT(TakeAllFor(0, &queue, &loads, 1), ElementsAre(2));
}

TEST(JobQueue, TakesARequestWholeOrRefusesItWholeWithTheNumbers) {
  JobQueue queue(2, 4);
  ASSERT_TRUE(queue.Add(0, Jobs(1, {1, 1, 1})).ok());
  const absl::Status refused = queue.Add(1, Jobs(4, {1, 1}));
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("3 segments wait and at most 4 may; this request has 2"));
  EXPECT_EQ(queue.size(), 3);
  EXPECT_TRUE(queue.Add(1, Jobs(4, {1})).ok());
  EXPECT_EQ(queue.size(), 4);
}

struct SpreadCase {
  std::string name;
  std::vector<int> in_use;   // rows in use by worker, of 16
  std::vector<int> waiting;  // rows of each waiting job
  int worker;                // whose boundary it is
  std::vector<JobId> takes;  // ids from 1
};

class Spread : public ::testing::TestWithParam<SpreadCase> {};

TEST_P(Spread, GivesAWorkerItsShare) {
  JobQueue queue(1, 100);
  ASSERT_TRUE(queue.Add(0, Jobs(1, GetParam().waiting)).ok());
  std::vector<WorkerLoad> loads = Loads(GetParam().in_use, 16);
  EXPECT_EQ(TakeAllFor(GetParam().worker, &queue, &loads), GetParam().takes);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Spread,
    ::testing::Values(SpreadCase{"TwoIdleHalveTheWork", {0, 0}, {1, 1, 1, 1}, 0, {1, 2}},
                      SpreadCase{"BusyLeavesTheJobToTheIdle", {5, 0}, {1}, 0, {}},
                      SpreadCase{"IdleTakesWhatTheBusyLeft", {5, 0}, {1}, 1, {1}},
                      SpreadCase{"TooBusyForTheWideOneTakesNothingBehindIt", {4, 3}, {13, 1}, 0, {}},
                      SpreadCase{"LessBusyTakesTheWideOne", {4, 3}, {13, 1}, 1, {1}},
                      SpreadCase{"MoreThanTheShareGoesToTheLessBusy", {6, 4}, {3}, 0, {}},
                      SpreadCase{"WideBeamStartsAlthoughItIsMoreThanTheShare", {0, 0}, {5}, 0, {1}},
                      SpreadCase{"EachTakesOneWideBeam", {0, 0}, {5, 5}, 0, {1}},
                      SpreadCase{"LongQueueFillsUp", {14, 14}, {1, 1, 1, 1, 1, 1}, 0, {1, 2}}),
    [](const auto& info) { return info.param.name; });

TEST(JobQueue, LetsABusierWorkerTakeWhatDoesNotFitTheOther) {
  JobQueue queue(2, 100);
  ASSERT_TRUE(queue.Add(0, Jobs(1, {4})).ok());
  std::vector<WorkerLoad> loads = {{8, {8, 8}}, {6, {2, 16}}};
  EXPECT_THAT(TakeAllFor(1, &queue, &loads), IsEmpty());
  EXPECT_THAT(TakeAllFor(0, &queue, &loads), ElementsAre(1));
}

TEST(JobQueue, GivesUpJobsAtTheirDeadline) {
  JobQueue queue(2, 100);
  ASSERT_TRUE(queue.Add(0, {{1, 1, At(10)}, {2, 1, At(20)}}).ok());
  ASSERT_TRUE(queue.Add(1, {{3, 1, At(10)}, {4, 1}}).ok());
  EXPECT_EQ(queue.earliest_deadline(), At(10));
  std::vector<JobId> dead;
  queue.TakeDead(At(9), false, &dead);
  EXPECT_THAT(dead, IsEmpty());
  queue.TakeDead(At(10), false, &dead);
  EXPECT_THAT(dead, UnorderedElementsAre(1, 3));
  EXPECT_EQ(queue.size(), 2);
  EXPECT_EQ(queue.earliest_deadline(), At(20));
}

TEST(JobQueue, GivesUpCancelledJobsWhenAskedToLook) {
  JobQueue queue(1, 100);
  const std::atomic<bool> cancelled = true;
  const std::atomic<bool> not_cancelled = false;
  ASSERT_TRUE(queue
                  .Add(0, {{1, 1, absl::InfiniteFuture(), &not_cancelled},
                           {2, 1, absl::InfiniteFuture(), &cancelled},
                           {3, 1, absl::InfiniteFuture(), nullptr}})
                  .ok());
  std::vector<JobId> dead;
  queue.TakeDead(At(0), true, &dead);
  EXPECT_THAT(dead, ElementsAre(2));
  std::vector<WorkerLoad> loads = Loads({0}, 8);
  EXPECT_THAT(TakeAllFor(0, &queue, &loads), ElementsAre(1, 3));
}

TEST(JobQueue, MakesRoomWhenJobsAreGivenUp) {
  JobQueue queue(1, 2);
  ASSERT_TRUE(queue.Add(0, {{1, 1, At(1)}, {2, 1, At(1)}}).ok());
  std::vector<JobId> dead;
  queue.TakeDead(At(1), false, &dead);
  EXPECT_TRUE(queue.Add(0, Jobs(3, {1, 1})).ok());
  EXPECT_THAT(queue.TakeAll(), UnorderedElementsAre(3, 4));
  EXPECT_EQ(queue.size(), 0);
}

}  // namespace
}  // namespace heed
