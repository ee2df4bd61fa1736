#include "server/scheduler/run_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

// A request of jobs with these rows.
WaitingRequest Request(RequestId id, std::vector<int> rows, Priority priority = Priority::kInteractive) {
  WaitingRequest request;
  request.id = id;
  request.rows = std::move(rows);
  request.priority = priority;
  request.arrival = At(0);
  return request;
}

WaitingRequest WithBytes(RequestId id, std::int64_t running, std::int64_t waiting = 0, int jobs = 1) {
  WaitingRequest request = Request(id, std::vector<int>(static_cast<std::size_t>(jobs), 1));
  request.running_bytes = running;
  request.waiting_bytes = waiting;
  return request;
}

// One model: worker i has rows[i] in use of `of`.
std::vector<WorkerLoad> Loads(std::vector<int> rows, int of) {
  std::vector<WorkerLoad> loads;
  for (int used : rows) loads.push_back({used, {of - used}});
  return loads;
}

// The requests whose jobs `worker` starts, in order, until it starts no more; keeps `loads` up to date.
std::vector<RequestId> Started(RunQueue* queue, std::vector<WorkerLoad>* loads, int worker = 0, int model = 0,
                               absl::Time now = At(0)) {
  std::vector<RequestId> ids;
  while (const auto job = queue->TakeNext(model, worker, *loads, now)) {
    ids.push_back(job->request);
    (*loads)[worker].rows += job->rows;
    (*loads)[worker].free_rows[model] -= job->rows;
  }
  return ids;
}

std::vector<RequestId> Started(RunQueue* queue, int free_rows) {
  std::vector<WorkerLoad> loads = Loads({0}, free_rows);
  return Started(queue, &loads);
}

void Add(RunQueue* queue, WaitingRequest request) {
  const absl::Status status = queue->Add(std::move(request));
  ASSERT_TRUE(status.ok()) << status;
}

TEST(Order, RequestsStartInOrderOfArrivalUntilTheRowsAreFull) {
  RunQueue queue(1, {});
  for (RequestId id : {1, 2, 3}) Add(&queue, Request(id, {1}));
  EXPECT_THAT(Started(&queue, 2), ElementsAre(1, 2));
  EXPECT_EQ(queue.size(), 1);
  EXPECT_EQ(queue.size(0), 1);
}

TEST(Order, AWideBeamThatDoesNotFitIsNeverOvertaken) {
  RunQueue queue(1, {});
  Add(&queue, Request(1, {5}));
  Add(&queue, Request(2, {1}));
  EXPECT_THAT(Started(&queue, 4), IsEmpty());
  EXPECT_THAT(Started(&queue, 6), ElementsAre(1, 2));
}

TEST(Order, ModelsDoNotWaitForEachOthersRows) {
  RunQueue queue(2, {});
  Add(&queue, Request(1, {2}));
  WaitingRequest other = Request(2, {2});
  other.model = 1;
  Add(&queue, std::move(other));
  std::vector<WorkerLoad> loads = {{8, {0, 8}}};
  EXPECT_THAT(Started(&queue, &loads, 0, 0), IsEmpty());
  EXPECT_THAT(Started(&queue, &loads, 0, 1), ElementsAre(2));
}

TEST(Fairness, ManyTextsOfOneRequestDoNotShutOutASingleOne) {
  RunQueue queue(1, {});
  Add(&queue, Request(1, std::vector<int>(256, 1)));
  EXPECT_THAT(Started(&queue, 3), ElementsAre(1, 1, 1));
  Add(&queue, Request(2, {1}));
  Add(&queue, Request(3, {1, 1}));
  EXPECT_THAT(Started(&queue, 6), ElementsAre(1, 2, 3, 1, 3, 1));
}

TEST(Fairness, BeamsCountAsTheRowsThatTheyAre) {
  RunQueue queue(1, {});
  Add(&queue, Request(1, {4, 4, 4}));
  Add(&queue, Request(2, {1, 1, 1, 1, 1, 1, 1, 1, 1}));
  // Four single rows for each beam of four.
  EXPECT_THAT(Started(&queue, 21), ElementsAre(1, 2, 2, 2, 2, 1, 2, 2, 2, 2, 1, 2));
}

TEST(Priorities, BatchRowsStartAtAPartOfTheRate) {
  RunQueue queue(1, {.batch_share = 4, .batch_ageing = absl::Seconds(10)});
  for (RequestId id = 1; id <= 3; ++id) Add(&queue, Request(100 + id, {1}, Priority::kBatch));
  for (RequestId id = 1; id <= 10; ++id) Add(&queue, Request(id, {1}));
  EXPECT_THAT(Started(&queue, 13), ElementsAre(1, 101, 2, 3, 4, 5, 102, 6, 7, 8, 9, 103, 10));
}

TEST(Priorities, BatchGrowsToAnEqualShareTheLongerItWaits) {
  RunQueue queue(1, {.batch_share = 4, .batch_ageing = absl::Seconds(10)});
  for (RequestId id = 1; id <= 3; ++id) Add(&queue, Request(100 + id, {1}, Priority::kBatch));
  for (RequestId id = 1; id <= 4; ++id) Add(&queue, Request(id, {1}));
  std::vector<WorkerLoad> loads = Loads({0}, 7);
  EXPECT_THAT(Started(&queue, &loads, 0, 0, At(10)), ElementsAre(1, 101, 2, 102, 3, 103, 4));
}

TEST(Priorities, AClassWithNothingToStartGainsNothingByIt) {
  RunQueue queue(1, {.batch_share = 2});
  for (RequestId id = 1; id <= 100; ++id) Add(&queue, Request(id, {1}));
  Started(&queue, 98);
  for (RequestId id = 101; id <= 110; ++id) Add(&queue, Request(id, {1}, Priority::kBatch));
  for (RequestId id = 111; id <= 114; ++id) Add(&queue, Request(id, {1}));
  EXPECT_THAT(Started(&queue, 6), ElementsAre(99, 101, 100, 111, 102, 112));
}

TEST(Priorities, BatchHasEverythingWhileNobodyElseWaits) {
  RunQueue queue(1, {});
  for (RequestId id = 1; id <= 3; ++id) Add(&queue, Request(id, {1}, Priority::kBatch));
  EXPECT_THAT(Started(&queue, 8), ElementsAre(1, 2, 3));
}

TEST(Memory, ARequestThatDoesNotFitWaitsAndOthersDoNotTakeMemoryBeforeIt) {
  RunQueue queue(1, {.max_request_bytes = 100});
  Add(&queue, WithBytes(1, 60));
  Add(&queue, WithBytes(2, 70));
  Add(&queue, WithBytes(3, 10));
  Add(&queue, WithBytes(4, 0));
  EXPECT_THAT(Started(&queue, 8), ElementsAre(1, 4)) << "3 would fit, but 2 has a claim; 4 needs none";
  EXPECT_EQ(queue.leased_bytes(), 60);
  queue.GiveBack(60);
  EXPECT_THAT(Started(&queue, 8), ElementsAre(2, 3));
  EXPECT_EQ(queue.leased_bytes(), 80);
}

TEST(Memory, OneThatHasItsLeaseGoesOnPastAClaim) {
  RunQueue queue(1, {.max_request_bytes = 100});
  Add(&queue, WithBytes(1, 60, 0, 3));
  Add(&queue, WithBytes(2, 70));
  EXPECT_THAT(Started(&queue, 2), ElementsAre(1, 1));
  EXPECT_THAT(Started(&queue, 2), ElementsAre(1));
  EXPECT_EQ(queue.size(), 1);
}

TEST(Memory, AClaimHoldsForEveryModelAndClass) {
  RunQueue queue(2, {.max_request_bytes = 100});
  Add(&queue, WithBytes(1, 60));
  Add(&queue, WithBytes(2, 70));
  std::vector<WorkerLoad> loads = {{0, {8, 8}}};
  EXPECT_THAT(Started(&queue, &loads, 0, 0), ElementsAre(1));
  WaitingRequest batch = WithBytes(3, 30);
  batch.priority = Priority::kBatch;
  Add(&queue, std::move(batch));
  EXPECT_THAT(Started(&queue, &loads, 0, 0), IsEmpty());
  WaitingRequest other = WithBytes(4, 30);
  other.model = 1;
  Add(&queue, std::move(other));
  EXPECT_THAT(Started(&queue, &loads, 0, 1), IsEmpty());
  EXPECT_EQ(queue.Remove(2), 1) << "its claim goes with it";
  EXPECT_THAT(Started(&queue, &loads, 0, 1), IsEmpty()) << "3 came before 4";
  EXPECT_THAT(Started(&queue, &loads, 0, 0), ElementsAre(3));
  queue.GiveBack(60);
  EXPECT_THAT(Started(&queue, &loads, 0, 1), ElementsAre(4));
}

TEST(Memory, WhatNeverFitsIsRefusedForGood) {
  RunQueue queue(1, {.max_queue_bytes = 50, .max_request_bytes = 100});
  EXPECT_EQ(queue.Add(WithBytes(1, 101)).ToString(),
            "OUT_OF_RANGE: the request takes 101 bytes of memory while it is decoded; it may take at most 100");
  EXPECT_EQ(queue.Add(WithBytes(1, 1, 51)).ToString(),
            "OUT_OF_RANGE: the request takes 51 bytes of memory while it waits; it may take at most 50");
  EXPECT_EQ(queue.size(), 0);
}

TEST(Refusals, AFullQueueTakesARequestWholeOrNotAtAll) {
  RunQueue queue(1, {.max_queue = 4, .max_queue_bytes = 50});
  Add(&queue, WithBytes(1, 0, 30, 3));
  EXPECT_EQ(queue.Add(WithBytes(2, 0, 1, 2)).ToString(),
            "RESOURCE_EXHAUSTED: the queue is full: 3 segments wait and at most 4 may; this request has 2");
  EXPECT_EQ(queue.Add(WithBytes(2, 0, 21)).ToString(),
            "RESOURCE_EXHAUSTED: the queue is full: 30 bytes wait and at most 50 may; this request has 21");
  EXPECT_EQ(queue.size(), 3);
  Add(&queue, WithBytes(2, 0, 20));
  EXPECT_EQ(queue.waiting_bytes(), 50);
  EXPECT_THAT(Started(&queue, 1), ElementsAre(1));
  EXPECT_EQ(queue.waiting_bytes(), 20) << "of requests that have not started";
}

struct SpreadCase {
  std::string name;
  std::vector<int> in_use;   // rows in use by worker, of 16
  std::vector<int> waiting;  // rows of each waiting request, from 1
  int worker;                // whose boundary it is
  std::vector<RequestId> takes;
};

class Spread : public ::testing::TestWithParam<SpreadCase> {};

TEST_P(Spread, GivesAWorkerItsShare) {
  RunQueue queue(1, {});
  RequestId id = 0;
  for (int rows : GetParam().waiting) Add(&queue, Request(++id, {rows}));
  std::vector<WorkerLoad> loads = Loads(GetParam().in_use, 16);
  EXPECT_EQ(Started(&queue, &loads, GetParam().worker), GetParam().takes);
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

TEST(SpreadOfModels, ABusierWorkerTakesWhatDoesNotFitTheOther) {
  RunQueue queue(2, {});
  Add(&queue, Request(1, {4}));
  std::vector<WorkerLoad> loads = {{8, {8, 8}}, {6, {2, 16}}};
  EXPECT_THAT(Started(&queue, &loads, 1), IsEmpty());
  EXPECT_THAT(Started(&queue, &loads, 0), ElementsAre(1));
}

std::vector<std::pair<RequestId, int>> Dead(RunQueue* queue, absl::Time now, bool look_at_flags = false) {
  std::vector<DroppedJobs> dropped;
  queue->TakeDead(now, look_at_flags, &dropped);
  std::vector<std::pair<RequestId, int>> pairs;
  for (const DroppedJobs& jobs : dropped) pairs.emplace_back(jobs.request, jobs.jobs);
  return pairs;
}

TEST(TheDead, RequestsAreGivenUpAtTheirTime) {
  RunQueue queue(1, {});
  for (RequestId id : {1, 2, 3}) {
    WaitingRequest request = Request(id, {1, 1});
    request.give_up = At(static_cast<double>(10 * id));
    Add(&queue, std::move(request));
  }
  Add(&queue, Request(4, {1}));
  EXPECT_EQ(queue.next_give_up(), At(10));
  EXPECT_THAT(Dead(&queue, At(9.9)), IsEmpty());
  EXPECT_THAT(Started(&queue, 1), ElementsAre(1));
  EXPECT_THAT(Dead(&queue, At(20)), UnorderedElementsAre(Pair(1, 1), Pair(2, 2))) << "what still waits of 1";
  EXPECT_EQ(queue.next_give_up(), At(30));
  EXPECT_EQ(queue.size(), 3);
}

TEST(TheDead, FlagsAreLookedAtWhenAsked) {
  std::atomic<bool> cancelled = false;
  RunQueue queue(1, {.max_request_bytes = 100});
  WaitingRequest request = WithBytes(1, 80, 7, 2);
  request.cancelled = &cancelled;
  Add(&queue, std::move(request));
  EXPECT_THAT(Dead(&queue, At(1), true), IsEmpty());
  cancelled = true;
  EXPECT_THAT(Dead(&queue, At(1), false), IsEmpty());
  EXPECT_THAT(Dead(&queue, At(1), true), ElementsAre(Pair(1, 2)));
  EXPECT_EQ(queue.waiting_bytes(), 0);
  EXPECT_EQ(queue.leased_bytes(), 0);
  EXPECT_EQ(queue.next_give_up(), absl::InfiniteFuture());
}

TEST(TheDead, TakeAllLeavesNothing) {
  RunQueue queue(2, {});
  for (RequestId id : {1, 2, 3}) Add(&queue, WithBytes(id, 5, 5, 2));
  std::vector<RequestId> ids;
  for (const DroppedJobs& jobs : queue.TakeAll()) ids.push_back(jobs.request);
  EXPECT_THAT(ids, UnorderedElementsAre(1, 2, 3));
  EXPECT_EQ(queue.size(), 0);
  EXPECT_EQ(queue.waiting_bytes(), 0);
  EXPECT_THAT(Started(&queue, 8), IsEmpty());
}

TEST(RowsAhead, AreThoseOfTheClassThatStartFirst) {
  RunQueue queue(1, {});
  Add(&queue, Request(1, std::vector<int>(256, 1)));
  Add(&queue, Request(2, {4}));
  Add(&queue, Request(3, {2}, Priority::kBatch));
  EXPECT_EQ(queue.RowsAhead(0, Priority::kInteractive, 1), 2) << "one row of each: it is not behind all 256 texts";
  EXPECT_EQ(queue.RowsAhead(0, Priority::kInteractive, 1000), 260);
  EXPECT_EQ(queue.RowsAhead(0, Priority::kBatch, 1000), 2);
}

}  // namespace
}  // namespace heed
