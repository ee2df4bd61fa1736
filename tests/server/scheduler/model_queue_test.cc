#include "server/scheduler/model_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/scheduler/requests.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class OneModel {
 public:
  explicit OneModel(const SchedulerOptions& options = {})
      : memory_(options.max_request_bytes), queue_(options, &memory_) {}

  ModelQueue* operator->() { return &queue_; }
  void Add(WaitingRequest request) { queue_.Add(std::move(request)); }
  // The requests whose jobs start, in order, until no more do on so many free rows.
  std::vector<RequestId> Start(int free_rows, absl::Time now = At(0)) {
    std::vector<RequestId> ids;
    while (const auto job = queue_.TakeNext([&](int rows) { return rows <= free_rows; }, now)) {
      ids.push_back(job->request);
      free_rows -= job->rows;
    }
    return ids;
  }

 private:
  MemoryBudget memory_;
  ModelQueue queue_;
};

TEST(Order, RequestsStartInOrderOfArrivalUntilTheRowsAreFull) {
  OneModel queue;
  for (RequestId id : {1, 2, 3}) queue.Add(Request(id, {1}));
  EXPECT_THAT(queue.Start(2), ElementsAre(1, 2));
  EXPECT_EQ(queue->size(), 1);
}

TEST(Order, AWideBeamThatDoesNotFitIsNeverOvertaken) {
  OneModel queue;
  queue.Add(Request(1, {5}));
  queue.Add(Request(2, {1}));
  EXPECT_THAT(queue.Start(4), IsEmpty());
  EXPECT_THAT(queue.Start(6), ElementsAre(1, 2));
}

TEST(Fairness, ManyTextsOfOneRequestDoNotShutOutASingleOne) {
  OneModel queue;
  queue.Add(Request(1, std::vector<int>(256, 1)));
  EXPECT_THAT(queue.Start(3), ElementsAre(1, 1, 1));
  queue.Add(Request(2, {1}));
  queue.Add(Request(3, {1, 1}));
  EXPECT_THAT(queue.Start(6), ElementsAre(1, 2, 3, 1, 3, 1));
}

TEST(Fairness, BeamsCountAsTheRowsThatTheyAre) {
  OneModel queue;
  queue.Add(Request(1, {4, 4, 4}));
  queue.Add(Request(2, {1, 1, 1, 1, 1, 1, 1, 1, 1}));
  // Four single rows for each beam of four.
  EXPECT_THAT(queue.Start(21), ElementsAre(1, 2, 2, 2, 2, 1, 2, 2, 2, 2, 1, 2));
}

TEST(Priorities, BatchRowsStartAtAPartOfTheRate) {
  OneModel queue({.batch_share = 4, .batch_ageing = absl::Seconds(10)});
  for (RequestId id = 1; id <= 3; ++id) queue.Add(Request(100 + id, {1}, Priority::kBatch));
  for (RequestId id = 1; id <= 10; ++id) queue.Add(Request(id, {1}));
  EXPECT_THAT(queue.Start(13), ElementsAre(1, 101, 2, 3, 4, 5, 102, 6, 7, 8, 9, 103, 10));
}

TEST(Priorities, BatchGrowsToAnEqualShareTheLongerItWaits) {
  OneModel queue({.batch_share = 4, .batch_ageing = absl::Seconds(10)});
  for (RequestId id = 1; id <= 3; ++id) queue.Add(Request(100 + id, {1}, Priority::kBatch));
  for (RequestId id = 1; id <= 4; ++id) queue.Add(Request(id, {1}));
  EXPECT_THAT(queue.Start(7, At(10)), ElementsAre(1, 101, 2, 102, 3, 103, 4));
}

TEST(Priorities, AClassWithNothingToStartGainsNothingByIt) {
  OneModel queue({.batch_share = 2});
  for (RequestId id = 1; id <= 100; ++id) queue.Add(Request(id, {1}));
  queue.Start(98);
  for (RequestId id = 101; id <= 110; ++id) queue.Add(Request(id, {1}, Priority::kBatch));
  for (RequestId id = 111; id <= 114; ++id) queue.Add(Request(id, {1}));
  EXPECT_THAT(queue.Start(6), ElementsAre(99, 101, 100, 111, 102, 112));
}

TEST(Priorities, BatchHasEverythingWhileNobodyElseWaits) {
  OneModel queue;
  for (RequestId id = 1; id <= 3; ++id) queue.Add(Request(id, {1}, Priority::kBatch));
  EXPECT_THAT(queue.Start(8), ElementsAre(1, 2, 3));
}

TEST(RowsAhead, AreThoseOfTheClassThatStartFirst) {
  OneModel queue;
  queue.Add(Request(1, std::vector<int>(256, 1)));
  queue.Add(Request(2, {4}));
  queue.Add(Request(3, {2}, Priority::kBatch));
  EXPECT_EQ(queue->RowsAhead(Priority::kInteractive, 1), 2) << "one row of each: it is not behind all 256 texts";
  EXPECT_EQ(queue->RowsAhead(Priority::kInteractive, 1000), 260);
  EXPECT_EQ(queue->RowsAhead(Priority::kBatch, 1000), 2);
}

TEST(OneModelsDead, AreGoneWithTheirRowsAndTheirBytes) {
  OneModel queue;
  queue.Add(WithBytes(1, 5, 7, 3));
  WaitingRequest late = WithBytes(2, 5, 7, 2);
  late.give_up = At(1);
  queue.Add(std::move(late));
  EXPECT_EQ(queue->rows(), 5);
  EXPECT_EQ(queue->waiting_bytes(), 14);
  EXPECT_THAT(queue.Start(1), ElementsAre(1));
  std::vector<DroppedJobs> dropped;
  queue->TakeDead(At(1), false, &dropped);
  ASSERT_EQ(dropped.size(), 1u);
  EXPECT_EQ(dropped[0].request, 2);
  EXPECT_EQ(dropped[0].jobs, 2);
  EXPECT_EQ(queue->rows(), 2);
  EXPECT_EQ(queue->waiting_bytes(), 0) << "1 has started";
  queue->TakeAll(&dropped);
  EXPECT_EQ(dropped.back().jobs, 2);
  EXPECT_EQ(queue->size(), 0);
  EXPECT_EQ(queue->rows(), 0);
  EXPECT_THAT(queue.Start(9), IsEmpty());
}

}  // namespace
}  // namespace heed
