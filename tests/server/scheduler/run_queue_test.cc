#include "server/scheduler/run_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/server/scheduler/requests.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

// A worker: rows in use, and free ones by model.
struct WorkerLoad {
  int rows = 0;
  std::vector<int> free_rows;
};

// One model: worker i has rows[i] in use of `of`.
std::vector<WorkerLoad> Loads(std::vector<int> rows, int of) {
  std::vector<WorkerLoad> loads;
  for (int used : rows) loads.push_back({used, {of - used}});
  return loads;
}

// The queue of models 0, 1, ...
class Models {
 public:
  explicit Models(int models, const SchedulerOptions& options = {}) : queue_(options) {
    for (int i = 0; i < models; ++i) models_.push_back(queue_.AddModel());
  }

  RunQueue* operator->() { return &queue_; }
  absl::Status Add(WaitingRequest request, int model = 0) {
    return queue_.Add(models_[static_cast<std::size_t>(model)], std::move(request));
  }
  void MustAdd(WaitingRequest request, int model = 0) {
    const absl::Status status = Add(std::move(request), model);
    ASSERT_TRUE(status.ok()) << status;
  }
  int Remove(RequestId id) { return models_[0]->Remove(id); }

  // The requests whose jobs `worker` starts, in order, until it starts no more; keeps `loads` up to date.
  std::vector<RequestId> Start(std::vector<WorkerLoad>* loads, int worker = 0, int model = 0) {
    std::vector<RequestId> ids;
    for (;;) {
      std::vector<int> rows, free_rows;
      for (const WorkerLoad& load : *loads) {
        rows.push_back(load.rows);
        free_rows.push_back(load.free_rows[static_cast<std::size_t>(model)]);
      }
      const auto job = queue_.TakeNext(models_[static_cast<std::size_t>(model)], worker, {rows, free_rows}, At(0));
      if (!job.has_value()) return ids;
      ids.push_back(job->request);
      WorkerLoad& load = (*loads)[static_cast<std::size_t>(worker)];
      load.rows += job->rows;
      load.free_rows[static_cast<std::size_t>(model)] -= job->rows;
    }
  }
  std::vector<RequestId> Start(int free_rows) {
    std::vector<WorkerLoad> loads = Loads({0}, free_rows);
    return Start(&loads);
  }

 private:
  RunQueue queue_;
  std::vector<ModelQueue*> models_;
};

TEST(Order, ModelsDoNotWaitForEachOthersRows) {
  Models queue(2);
  queue.MustAdd(Request(1, {2}));
  queue.MustAdd(Request(2, {2}), 1);
  std::vector<WorkerLoad> loads = {{8, {0, 8}}};
  EXPECT_THAT(queue.Start(&loads, 0, 0), IsEmpty());
  EXPECT_THAT(queue.Start(&loads, 0, 1), ElementsAre(2));
}

TEST(Memory, ARequestThatDoesNotFitWaitsAndOthersDoNotTakeMemoryBeforeIt) {
  Models queue(1, {.max_request_bytes = 100});
  queue.MustAdd(WithBytes(1, 60));
  queue.MustAdd(WithBytes(2, 70));
  queue.MustAdd(WithBytes(3, 10));
  queue.MustAdd(WithBytes(4, 0));
  EXPECT_THAT(queue.Start(8), ElementsAre(1, 4)) << "3 would fit, but 2 has a claim; 4 needs none";
  EXPECT_EQ(queue->leased_bytes(), 60);
  queue->GiveBack(60);
  EXPECT_THAT(queue.Start(8), ElementsAre(2, 3));
  EXPECT_EQ(queue->leased_bytes(), 80);
}

TEST(Memory, OneThatHasItsLeaseGoesOnPastAClaim) {
  Models queue(1, {.max_request_bytes = 100});
  queue.MustAdd(WithBytes(1, 60, 0, 3));
  queue.MustAdd(WithBytes(2, 70));
  EXPECT_THAT(queue.Start(2), ElementsAre(1, 1));
  EXPECT_THAT(queue.Start(2), ElementsAre(1));
  EXPECT_EQ(queue->size(), 1);
}

TEST(Memory, AClaimHoldsForEveryModelAndClass) {
  Models queue(2, {.max_request_bytes = 100});
  queue.MustAdd(WithBytes(1, 60));
  queue.MustAdd(WithBytes(2, 70));
  std::vector<WorkerLoad> loads = {{0, {8, 8}}};
  EXPECT_THAT(queue.Start(&loads, 0, 0), ElementsAre(1));
  WaitingRequest batch = WithBytes(3, 30);
  batch.priority = Priority::kBatch;
  queue.MustAdd(std::move(batch));
  EXPECT_THAT(queue.Start(&loads, 0, 0), IsEmpty());
  queue.MustAdd(WithBytes(4, 30), 1);
  EXPECT_THAT(queue.Start(&loads, 0, 1), IsEmpty());
  EXPECT_EQ(queue.Remove(2), 1) << "its claim goes with it";
  EXPECT_THAT(queue.Start(&loads, 0, 1), IsEmpty()) << "3 came before 4";
  EXPECT_THAT(queue.Start(&loads, 0, 0), ElementsAre(3));
  queue->GiveBack(60);
  EXPECT_THAT(queue.Start(&loads, 0, 1), ElementsAre(4));
}

TEST(Memory, WhatNeverFitsIsRefusedForGood) {
  Models queue(1, {.max_queue_bytes = 50, .max_request_bytes = 100});
  EXPECT_EQ(queue.Add(WithBytes(1, 101)).ToString(),
            "OUT_OF_RANGE: the request takes 101 bytes of memory while it is decoded; it may take at most 100");
  EXPECT_EQ(queue.Add(WithBytes(1, 1, 51)).ToString(),
            "OUT_OF_RANGE: the request takes 51 bytes of memory while it waits; it may take at most 50");
  EXPECT_EQ(queue->size(), 0);
}

TEST(Refusals, AFullQueueTakesARequestWholeOrNotAtAll) {
  Models queue(1, {.max_queue = 4, .max_queue_bytes = 50});
  queue.MustAdd(WithBytes(1, 0, 30, 3));
  EXPECT_EQ(queue.Add(WithBytes(2, 0, 1, 2)).ToString(),
            "RESOURCE_EXHAUSTED: the queue is full: 3 segments wait and at most 4 may; this request has 2");
  EXPECT_EQ(queue.Add(WithBytes(2, 0, 21)).ToString(),
            "RESOURCE_EXHAUSTED: the queue is full: 30 bytes wait and at most 50 may; this request has 21");
  EXPECT_EQ(queue->size(), 3);
  queue.MustAdd(WithBytes(2, 0, 20));
  EXPECT_EQ(queue->waiting_bytes(), 50);
  EXPECT_THAT(queue.Start(1), ElementsAre(1));
  EXPECT_EQ(queue->waiting_bytes(), 20) << "of requests that have not started";
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
  Models queue(1);
  RequestId id = 0;
  for (int rows : GetParam().waiting) queue.MustAdd(Request(++id, {rows}));
  std::vector<WorkerLoad> loads = Loads(GetParam().in_use, 16);
  EXPECT_EQ(queue.Start(&loads, GetParam().worker), GetParam().takes);
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
  Models queue(2);
  queue.MustAdd(Request(1, {4}));
  std::vector<WorkerLoad> loads = {{8, {8, 8}}, {6, {2, 16}}};
  EXPECT_THAT(queue.Start(&loads, 1), IsEmpty());
  EXPECT_THAT(queue.Start(&loads, 0), ElementsAre(1));
}

std::vector<std::pair<RequestId, int>> Dead(Models* queue, absl::Time now, bool look_at_flags = false) {
  std::vector<DroppedJobs> dropped;
  (*queue)->TakeDead(now, look_at_flags, &dropped);
  std::vector<std::pair<RequestId, int>> pairs;
  for (const DroppedJobs& jobs : dropped) pairs.emplace_back(jobs.request, jobs.jobs);
  return pairs;
}

TEST(TheDead, RequestsAreGivenUpAtTheirTime) {
  Models queue(1);
  for (RequestId id : {1, 2, 3}) {
    WaitingRequest request = Request(id, {1, 1});
    request.give_up = At(static_cast<double>(10 * id));
    queue.MustAdd(std::move(request));
  }
  queue.MustAdd(Request(4, {1}));
  EXPECT_EQ(queue->next_give_up(), At(10));
  EXPECT_THAT(Dead(&queue, At(9.9)), IsEmpty());
  EXPECT_THAT(queue.Start(1), ElementsAre(1));
  EXPECT_THAT(Dead(&queue, At(20)), UnorderedElementsAre(Pair(1, 1), Pair(2, 2))) << "what still waits of 1";
  EXPECT_EQ(queue->next_give_up(), At(30));
  EXPECT_EQ(queue->size(), 3);
}

TEST(TheDead, FlagsAreLookedAtWhenAsked) {
  std::atomic<bool> cancelled = false;
  Models queue(1, {.max_request_bytes = 100});
  WaitingRequest request = WithBytes(1, 80, 7, 2);
  request.cancelled = &cancelled;
  queue.MustAdd(std::move(request));
  EXPECT_THAT(Dead(&queue, At(1), true), IsEmpty());
  cancelled = true;
  EXPECT_THAT(Dead(&queue, At(1), false), IsEmpty());
  EXPECT_THAT(Dead(&queue, At(1), true), ElementsAre(Pair(1, 2)));
  EXPECT_EQ(queue->waiting_bytes(), 0);
  EXPECT_EQ(queue->leased_bytes(), 0);
  EXPECT_EQ(queue->next_give_up(), absl::InfiniteFuture());
}

TEST(TheDead, TakeAllLeavesNothing) {
  Models queue(2);
  for (RequestId id : {1, 2, 3}) queue.MustAdd(WithBytes(id, 5, 5, 2));
  std::vector<RequestId> ids;
  for (const DroppedJobs& jobs : queue->TakeAll()) ids.push_back(jobs.request);
  EXPECT_THAT(ids, UnorderedElementsAre(1, 2, 3));
  EXPECT_EQ(queue->size(), 0);
  EXPECT_EQ(queue->waiting_bytes(), 0);
  EXPECT_THAT(queue.Start(8), IsEmpty());
}

TEST(ModelsComeAndGo, AndTheOthersKeepTheirPlaces) {
  RunQueue queue({.max_queue = 3, .max_request_bytes = 100});
  ModelQueue* const first = queue.AddModel();
  ModelQueue* const second = queue.AddModel();
  ASSERT_TRUE(queue.Add(first, WithBytes(1, 10, 5)).ok());
  ASSERT_TRUE(queue.Add(second, WithBytes(2, 10, 5, 2)).ok());
  EXPECT_EQ(queue.size(), 3);
  EXPECT_EQ(queue.CheckRoom(1, 1, false).code(), absl::StatusCode::kResourceExhausted) << "of all models";
  const std::vector<int> rows = {0}, free_rows = {8};
  ASSERT_TRUE(queue.TakeNext(first, 0, {rows, free_rows}, At(0)).has_value());
  queue.RemoveModel(first);
  EXPECT_EQ(queue.size(), 2);
  EXPECT_EQ(queue.leased_bytes(), 10) << "its reply may not have been sent";
  ModelQueue* const third = queue.AddModel();
  ASSERT_TRUE(queue.Add(third, WithBytes(3, 10)).ok());
  EXPECT_EQ(queue.TakeNext(second, 0, {rows, free_rows}, At(0))->request, 2);
  EXPECT_EQ(queue.TakeNext(third, 0, {rows, free_rows}, At(0))->request, 3);
}

}  // namespace
}  // namespace heed
