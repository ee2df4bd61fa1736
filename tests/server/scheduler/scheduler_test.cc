#include "server/scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/server/scheduler/puppet_engine.h"
#include "tests/server/scheduler/start_scheduler.h"
#include "tests/support/fake_clock.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// What `done` was told.
struct Outcome {
  absl::Notification over;
  absl::Status status;
  std::vector<DecodeResult> results;
  std::vector<JobTiming> timings;
  MemoryLease memory;

  absl::StatusCode Code() {
    over.WaitForNotification();
    return status.code();
  }
  // The names of the jobs, as their results spell them.
  std::vector<TokenId> Names() {
    over.WaitForNotification();
    std::vector<TokenId> names;
    for (const DecodeResult& result : results) names.push_back(result.hypotheses.at(0).tokens.at(0));
    return names;
  }
};

DecodeJob Job(TokenId name, int beam_size = 1) {
  DecodeJob job;
  job.source = {name};
  job.search.beam_size = beam_size;
  return job;
}

std::unique_ptr<WorkItem> Item(std::vector<DecodeJob> jobs, Outcome* outcome) {
  auto item = std::make_unique<WorkItem>();
  item->model = 0;
  item->jobs = std::move(jobs);
  item->done = [outcome](WorkResult result) {
    outcome->status = std::move(result.status);
    outcome->results = std::move(result.results);
    outcome->timings = std::move(result.timings);
    outcome->memory = std::move(result.memory);
    outcome->over.Notify();
  };
  return item;
}

// One worker, one model of 4 rows, moved by `strings_` and `clock_`.
class SchedulerTest : public ::testing::Test {
 protected:
  void Start(SchedulerOptions options = {.max_queue = 100, .workers = 1},
             std::shared_ptr<StepObserver> observer = nullptr) {
    scheduler_ = StartScheduler(
        options, 1, [this](int) { return strings_.MakeEngine(4); }, std::move(observer), &clock_);
  }
  ~SchedulerTest() override { strings_.CutLoose(); }

  void Accept(std::unique_ptr<WorkItem> item) { ASSERT_TRUE(scheduler_->Schedule(item).ok()); }

  // Returns once the scheduler refuses work because it is draining.
  void WaitUntilDraining() {
    absl::Status status;
    while (status.ok()) {
      Outcome ignored;
      auto empty = Item({}, &ignored);
      status = scheduler_->Schedule(empty);
      std::this_thread::yield();
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  }

  FakeClock clock_;
  PuppetStrings strings_;
  std::deque<Outcome> outcomes_;  // outlive the scheduler, which may still be at work when a test ends
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, LendsTheCoreOfAWorkerThatHasNothingToDo) {
  CoreTeam team(1);
  Start({.max_queue = 100, .workers = 1, .team = &team});
  const auto wait_until_lent = [&team] {
    while (!team.available()) std::this_thread::yield();
  };
  wait_until_lent();
  Outcome& a = outcomes_.emplace_back();
  Accept(Item({Job(1)}, &a));
  strings_.WaitForStep();
  EXPECT_FALSE(team.available());
  strings_.FinishInNextStep(1);
  strings_.LetStep();
  EXPECT_THAT(a.Names(), ElementsAre(1));
  wait_until_lent();
  scheduler_.reset();
}

TEST_F(SchedulerTest, AdmitsBWhileARunsAndSeesBFinishFirst) {
  Start();
  Outcome& a = outcomes_.emplace_back();
  Outcome& b = outcomes_.emplace_back();
  Accept(Item({Job(1)}, &a));
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(1));
  Accept(Item({Job(2)}, &b));
  strings_.LetStep();
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(1, 2));
  strings_.FinishInNextStep(2);
  strings_.LetStep();
  EXPECT_THAT(b.Names(), ElementsAre(2));
  EXPECT_FALSE(a.over.HasBeenNotified());
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(1));
  strings_.FinishInNextStep(1);
  strings_.LetStep();
  EXPECT_THAT(a.Names(), ElementsAre(1));
}

TEST_F(SchedulerTest, AnswersOnceAllJobsOfAnItemAreDoneInTheirOrder) {
  Start();
  Outcome& outcome = outcomes_.emplace_back();
  Accept(Item({Job(1), Job(2), Job(3)}, &outcome));
  strings_.WaitForStep();
  for (TokenId name : {3, 1, 2}) {
    EXPECT_FALSE(outcome.over.HasBeenNotified());
    strings_.WaitForStep();
    strings_.FinishInNextStep(name);
    strings_.LetStep();
  }
  EXPECT_EQ(outcome.Code(), absl::StatusCode::kOk);
  EXPECT_THAT(outcome.Names(), ElementsAre(1, 2, 3));
}

TEST_F(SchedulerTest, KeepsAWideBeamsPlaceUntilItFits) {
  Start();
  Outcome& narrow = outcomes_.emplace_back();
  Outcome& wide = outcomes_.emplace_back();
  Outcome& late = outcomes_.emplace_back();
  Accept(Item({Job(1)}, &narrow));
  strings_.WaitForStep();
  Accept(Item({Job(2, 4)}, &wide));
  Accept(Item({Job(3)}, &late));
  strings_.LetStep();
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(1));
  EXPECT_EQ(scheduler_->stats().queued_jobs, 2);
  strings_.FinishInNextStep(1);
  strings_.LetStep();
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(2));
  strings_.FinishInNextStep(2);
  strings_.LetStep();
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(3));
  strings_.FinishInNextStep(3);
  strings_.LetStep();
  EXPECT_EQ(late.Code(), absl::StatusCode::kOk);
}

TEST_F(SchedulerTest, RefusesWhatTheQueueCannotHoldAndLeavesItUntouched) {
  Start({.max_queue = 2, .workers = 1});
  Outcome& running = outcomes_.emplace_back();
  Outcome& waiting = outcomes_.emplace_back();
  Outcome& refused = outcomes_.emplace_back();
  Accept(Item({Job(1, 4)}, &running));
  strings_.WaitForStep();
  Accept(Item({Job(2)}, &waiting));
  auto item = Item({Job(3), Job(4)}, &refused);
  const absl::Status status = scheduler_->Schedule(item);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1 segments wait and at most 2 may; this request has 2"));
  ASSERT_NE(item, nullptr);
  EXPECT_EQ(item->jobs.size(), 2u);
  EXPECT_FALSE(refused.over.HasBeenNotified());
  strings_.FinishInNextStep(1);
  strings_.LetStep();
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(2));
  EXPECT_TRUE(scheduler_->Schedule(item).ok());
  strings_.CutLoose();
  scheduler_->Drain(absl::ZeroDuration());
}

TEST_F(SchedulerTest, SaysBeforehandWhetherARequestWouldBeTaken) {
  Start({.max_queue = 2, .max_queue_bytes = 100, .workers = 1});
  Outcome& running = outcomes_.emplace_back();
  Outcome& waiting = outcomes_.emplace_back();
  WorkItem least;
  least.model = 0;
  EXPECT_TRUE(scheduler_->CheckRoom(least).ok());
  Accept(Item({Job(1, 4)}, &running));
  strings_.WaitForStep();
  auto item = Item({Job(2)}, &waiting);
  item->waiting_bytes = 60;
  Accept(std::move(item));
  EXPECT_TRUE(scheduler_->CheckRoom(least).ok());
  least.waiting_bytes = 41;
  EXPECT_EQ(scheduler_->CheckRoom(least).ToString(),
            "RESOURCE_EXHAUSTED: the queue is full: 60 bytes wait and at most 100 may; this request has at least 41");
  least.waiting_bytes = 0;
  Accept(Item({Job(3)}, &outcomes_.emplace_back()));
  EXPECT_EQ(scheduler_->CheckRoom(least).ToString(),
            "RESOURCE_EXHAUSTED: the queue is full: 2 segments wait and at most 2 may; this request has at least 1");
  EXPECT_EQ(scheduler_->stats().queued_jobs, 2) << "it takes nothing";
}

TEST_F(SchedulerTest, SaysAtAGlanceHowMuchWaits) {
  Start();
  Accept(Item({Job(1, 4)}, &outcomes_.emplace_back()));
  strings_.WaitForStep();
  EXPECT_EQ(scheduler_->waiting(), 0);
  Accept(Item({Job(2), Job(3), Job(4), Job(5)}, &outcomes_.emplace_back()));
  EXPECT_EQ(scheduler_->waiting(), 4);
  EXPECT_FALSE(scheduler_->crowded()) << "they are what the 4 rows take next";
  Accept(Item({Job(6)}, &outcomes_.emplace_back()));
  EXPECT_TRUE(scheduler_->crowded());
  strings_.FinishInNextStep(1);
  strings_.LetStep();
  strings_.WaitForStep();
  EXPECT_EQ(scheduler_->waiting(), 1);
  EXPECT_FALSE(scheduler_->crowded());
}

TEST_F(SchedulerTest, RefusesWhatCannotMeetItsDeadline) {
  Start();
  for (int round = 0; round < 4; ++round) {  // 16 segments of a second each are measured
    Outcome& measured = outcomes_.emplace_back();
    Accept(Item({Job(1), Job(2), Job(3), Job(4)}, &measured));
    strings_.WaitForStep();
    clock_.Advance(absl::Seconds(1));
    for (TokenId name : {1, 2, 3, 4}) strings_.FinishInNextStep(name);
    strings_.LetStep();
    EXPECT_EQ(measured.Code(), absl::StatusCode::kOk);
  }
  const auto due_in = [this](int jobs, absl::Duration left) {
    auto item = Item(std::vector<DecodeJob>(static_cast<std::size_t>(jobs), Job(9)), &outcomes_.emplace_back());
    item->deadline = clock_.Now() + left;
    return item;
  };
  Accept(Item({Job(5, 4)}, &outcomes_.emplace_back()));
  strings_.WaitForStep();
  Accept(due_in(1, absl::Milliseconds(1)));  // nothing waits: not even this is refused
  auto late = due_in(1, absl::Milliseconds(700));
  const std::string refusal =
      "RESOURCE_EXHAUSTED: the deadline cannot be met: 1 segments wait and the predicted time is 1.5s; the deadline "
      "leaves 700ms";
  EXPECT_EQ(scheduler_->CheckRoom(*late).ToString(), refusal);
  EXPECT_EQ(scheduler_->Schedule(late).ToString(), refusal);
  ASSERT_NE(late, nullptr);
  late->deadline += absl::Milliseconds(50);  // half of the prediction
  Accept(std::move(late));
  auto many = due_in(90, absl::Seconds(5));
  EXPECT_EQ(scheduler_->Schedule(many).code(), absl::StatusCode::kResourceExhausted);
  many->finish_by = clock_.Now() + absl::Seconds(4);  // it takes what there is by then
  Accept(std::move(many));
  EXPECT_EQ(scheduler_->stats().early_refusals, 3);
}

TEST_F(SchedulerTest, RefusesABeamThatNoEngineHasRowsFor) {
  Start();
  Outcome& outcome = outcomes_.emplace_back();
  auto item = Item({Job(1), Job(2, 5)}, &outcome);
  const absl::Status status = scheduler_->Schedule(item);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("beam_size is 5; it must be at most 4"));
  EXPECT_NE(item, nullptr);
  EXPECT_EQ(scheduler_->stats().queued_jobs, 0);
}

TEST_F(SchedulerTest, AnswersAnItemWithoutJobsAtOnce) {
  Start();
  Outcome& outcome = outcomes_.emplace_back();
  Accept(Item({}, &outcome));
  ASSERT_TRUE(outcome.over.HasBeenNotified());
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_THAT(outcome.results, IsEmpty());
}

TEST_F(SchedulerTest, DeadlineWhileDecodingFreesItsRowsAtTheNextStep) {
  Start();
  Outcome& a = outcomes_.emplace_back();
  Outcome& b = outcomes_.emplace_back();
  auto item = Item({Job(1, 3), Job(2)}, &a);
  item->deadline = clock_.Now() + absl::Seconds(5);
  Accept(std::move(item));
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(1, 2));
  Accept(Item({Job(3)}, &b));
  EXPECT_EQ(scheduler_->stats().rows_in_use, 4);
  strings_.FinishInNextStep(2);
  clock_.Advance(absl::Seconds(5));
  strings_.LetStep();
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(3));
  EXPECT_EQ(scheduler_->stats().rows_in_use, 1);
  EXPECT_EQ(a.Code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(a.status.message()), HasSubstr("while decoding: 1 of 2 segments were finished in 5s"));
  EXPECT_THAT(a.results, IsEmpty());
  EXPECT_EQ(a.timings.size(), 2u);
}

TEST_F(SchedulerTest, DeadlineInTheQueueIsSeenAtTheNextStep) {
  Start();
  Outcome& a = outcomes_.emplace_back();
  Outcome& b = outcomes_.emplace_back();
  Accept(Item({Job(1, 4)}, &a));
  strings_.WaitForStep();
  auto item = Item({Job(2), Job(3)}, &b);
  item->deadline = clock_.Now() + absl::Seconds(5);
  Accept(std::move(item));
  clock_.Advance(absl::Seconds(5));
  strings_.LetStep();
  EXPECT_EQ(b.Code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(b.status.message()), HasSubstr("waited in the queue for 5s"));
  EXPECT_EQ(b.timings.at(0).queued, absl::Seconds(5));
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(1));
  EXPECT_EQ(scheduler_->stats().queued_jobs, 0);
}

TEST_F(SchedulerTest, CancellationWhileDecodingFreesItsRowsAtTheNextStep) {
  Start();
  Outcome& a = outcomes_.emplace_back();
  Outcome& b = outcomes_.emplace_back();
  auto item = Item({Job(1, 4), Job(2)}, &a);  // one decodes, one waits
  item->cancelled = std::make_shared<std::atomic<bool>>(false);
  const auto cancelled = item->cancelled;
  Accept(std::move(item));
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(1));
  Accept(Item({Job(3)}, &b));
  *cancelled = true;
  strings_.LetStep();
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(3));
  EXPECT_EQ(a.Code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(scheduler_->stats().rows_in_use, 1);
  EXPECT_EQ(scheduler_->stats().queued_jobs, 0);
}

TEST_F(SchedulerTest, CancellationInTheQueueIsSeenAtTheNextStepAfterANudge) {
  Start();
  Outcome& a = outcomes_.emplace_back();
  Outcome& b = outcomes_.emplace_back();
  Accept(Item({Job(1, 4)}, &a));
  strings_.WaitForStep();
  auto item = Item({Job(2)}, &b);
  item->cancelled = std::make_shared<std::atomic<bool>>(false);
  const auto cancelled = item->cancelled;
  Accept(std::move(item));
  *cancelled = true;
  scheduler_->Nudge();
  strings_.LetStep();
  EXPECT_EQ(b.Code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(a.over.HasBeenNotified());
}

TEST_F(SchedulerTest, ACancelledItemThatFinishesInTheSameStepStillCounts) {
  Start();
  Outcome& a = outcomes_.emplace_back();
  auto item = Item({Job(1)}, &a);
  item->cancelled = std::make_shared<std::atomic<bool>>(false);
  const auto cancelled = item->cancelled;
  Accept(std::move(item));
  strings_.WaitForStep();
  *cancelled = true;
  strings_.FinishInNextStep(1);
  strings_.LetStep();
  EXPECT_EQ(a.Code(), absl::StatusCode::kOk);
}

// Never has a free row, so that its worker is idle while jobs wait.
class FullEngine : public StepEngine {
 public:
  int free_rows() const override { return 0; }
  int max_rows() const override { return 4; }
  int live_jobs() const override { return 0; }
  void Admit(JobId, const DecodeJob*) override {}
  void Release(JobId) override {}
  void Step(StepReport*) override {}
  DecodeResult Take(JobId) override { return {}; }
  DecodeResult Finish(JobId) override { return {}; }
  DecodedHypothesis TakeProgress(JobId) override { return {}; }
};

TEST(IdleScheduler, WakesForTheDeadlineOfAWaitingJob) {
  Outcome outcome;
  auto scheduler = StartScheduler(
      {.max_queue = 10, .workers = 2}, 1, [](int) { return std::make_unique<FullEngine>(); }, nullptr, Clock::Real());
  auto item = Item({Job(1)}, &outcome);
  item->deadline = absl::Now() + absl::Milliseconds(20);
  ASSERT_TRUE(scheduler->Schedule(item).ok());
  EXPECT_EQ(outcome.Code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_GE(outcome.timings.at(0).queued, absl::Milliseconds(19));
}

TEST(IdleScheduler, WakesForANudge) {
  Outcome outcome;
  auto scheduler = StartScheduler(
      {.max_queue = 10, .workers = 2}, 1, [](int) { return std::make_unique<FullEngine>(); }, nullptr, Clock::Real());
  auto item = Item({Job(1)}, &outcome);
  item->cancelled = std::make_shared<std::atomic<bool>>(false);
  const auto cancelled = item->cancelled;
  ASSERT_TRUE(scheduler->Schedule(item).ok());
  *cancelled = true;
  scheduler->Nudge();
  EXPECT_EQ(outcome.Code(), absl::StatusCode::kCancelled);
}

TEST(IdleScheduler, DrainEndsWhatWaits) {
  Outcome outcome;
  auto scheduler = StartScheduler(
      {.max_queue = 10, .workers = 1}, 1, [](int) { return std::make_unique<FullEngine>(); }, nullptr, Clock::Real());
  auto item = Item({Job(1)}, &outcome);
  ASSERT_TRUE(scheduler->Schedule(item).ok());
  scheduler->Drain(absl::ZeroDuration());
  ASSERT_TRUE(outcome.over.HasBeenNotified());
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(SchedulerTest, DrainFinishesWhatWasAcceptedAndRefusesTheRest) {
  Start();
  Outcome& running = outcomes_.emplace_back();
  Outcome& waiting = outcomes_.emplace_back();
  Accept(Item({Job(1, 4)}, &running));
  strings_.WaitForStep();
  Accept(Item({Job(2)}, &waiting));
  std::thread drain([this] { scheduler_->Drain(absl::Hours(1)); });
  WaitUntilDraining();
  strings_.FinishInNextStep(1);
  strings_.LetStep();
  EXPECT_EQ(running.Code(), absl::StatusCode::kOk);
  strings_.WaitForStep();
  strings_.FinishInNextStep(2);
  strings_.LetStep();
  drain.join();
  EXPECT_EQ(waiting.Code(), absl::StatusCode::kOk);
  scheduler_->Drain(absl::Hours(1));  // idempotent
}

TEST_F(SchedulerTest, DrainTimeOverEndsTheRest) {
  Start();
  Outcome& running = outcomes_.emplace_back();
  Outcome& waiting = outcomes_.emplace_back();
  Accept(Item({Job(1, 4)}, &running));
  strings_.WaitForStep();
  Accept(Item({Job(2)}, &waiting));
  std::thread drain([this] { scheduler_->Drain(absl::Seconds(10)); });
  WaitUntilDraining();
  clock_.Advance(absl::Seconds(10));
  scheduler_->Nudge();
  EXPECT_EQ(waiting.Code(), absl::StatusCode::kUnavailable);  // by Drain itself: the worker is inside its step
  EXPECT_FALSE(running.over.HasBeenNotified());
  strings_.LetStep();
  drain.join();
  EXPECT_EQ(running.Code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(scheduler_->stats().rows_in_use, 0);
}

TEST_F(SchedulerTest, ASecondDrainCutsTheFirstShort) {
  Start();
  Outcome& running = outcomes_.emplace_back();
  Accept(Item({Job(1)}, &running));
  strings_.WaitForStep();
  std::thread first([this] { scheduler_->Drain(absl::Hours(1)); });
  WaitUntilDraining();
  std::thread second([this] { scheduler_->Drain(absl::ZeroDuration()); });
  strings_.CutLoose();
  first.join();
  second.join();
  EXPECT_EQ(running.Code(), absl::StatusCode::kUnavailable);
}

TEST_F(SchedulerTest, MeasuresQueueFirstTokenAndTotal) {
  Start();
  Outcome& a = outcomes_.emplace_back();
  Outcome& b = outcomes_.emplace_back();
  Accept(Item({Job(1, 4)}, &a));
  strings_.WaitForStep();
  Accept(Item({Job(2)}, &b));
  clock_.Advance(absl::Seconds(2));
  strings_.FinishInNextStep(1);
  strings_.LetStep();
  strings_.WaitForStep();
  clock_.Advance(absl::Seconds(3));
  strings_.LetStep();
  strings_.WaitForStep();
  clock_.Advance(absl::Seconds(4));
  strings_.FinishInNextStep(2);
  strings_.LetStep();
  ASSERT_EQ(b.Code(), absl::StatusCode::kOk);
  EXPECT_EQ(b.timings.at(0).queued, absl::Seconds(2));
  EXPECT_EQ(b.timings.at(0).first_token, absl::Seconds(5));
  EXPECT_EQ(b.timings.at(0).total, absl::Seconds(9));
}

class CountingObserver : public StepObserver {
 public:
  void OnStep(const StepReport& report, absl::Duration took) override {
    rows.push_back(report.rows);
    times.push_back(took);
  }
  std::vector<int> rows;
  std::vector<absl::Duration> times;
};

TEST_F(SchedulerTest, TellsTheObserverOfEachStep) {
  const auto observer = std::make_shared<CountingObserver>();
  Start({.max_queue = 10, .workers = 1}, observer);
  Outcome& a = outcomes_.emplace_back();
  Accept(Item({Job(1, 3)}, &a));
  strings_.WaitForStep();
  clock_.Advance(absl::Seconds(1));
  strings_.LetStep();
  strings_.WaitForStep();
  strings_.FinishInNextStep(1);
  strings_.LetStep();
  scheduler_->Drain(absl::Hours(1));
  EXPECT_THAT(observer->rows, ElementsAre(3, 3));
  EXPECT_THAT(observer->times, ElementsAre(absl::Seconds(1), absl::ZeroDuration()));
}

TEST_F(SchedulerTest, ATimeBudgetThatIsOverAnswersOkWithWhatThereIs) {
  Start();
  Outcome& outcome = outcomes_.emplace_back();
  // Four rows: 1 is done in time, 2 is cut short, 3 joins but makes no step, 4 never starts.
  auto item = Item({Job(1), Job(2, 3), Job(3, 4), Job(4)}, &outcome);
  item->finish_by = clock_.Now() + absl::Seconds(1);
  Accept(std::move(item));
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(1, 2));
  strings_.FinishInNextStep(1);
  strings_.LetStep();
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(2));
  clock_.Advance(absl::Seconds(1));
  EXPECT_FALSE(outcome.over.HasBeenNotified());
  strings_.LetStep();
  EXPECT_EQ(outcome.Code(), absl::StatusCode::kOk);
  ASSERT_EQ(outcome.results.size(), 4u);
  EXPECT_EQ(outcome.results[0].hypotheses.at(0).finish, FinishReason::kEos);
  EXPECT_EQ(outcome.results[1].hypotheses.at(0).finish, FinishReason::kStopped);
  EXPECT_THAT(outcome.results[2].hypotheses, IsEmpty());
  EXPECT_THAT(outcome.results[3].hypotheses, IsEmpty());
  EXPECT_EQ(scheduler_->stats().rows_in_use, 0);
  EXPECT_EQ(scheduler_->stats().queued_jobs, 0);
}

TEST_F(SchedulerTest, ATimeBudgetThatEndsInTheQueueAnswersOkWithNothing) {
  Start();
  Outcome& running = outcomes_.emplace_back();
  Outcome& waiting = outcomes_.emplace_back();
  Accept(Item({Job(1, 4)}, &running));
  strings_.WaitForStep();
  auto item = Item({Job(2)}, &waiting);
  item->finish_by = clock_.Now() + absl::Seconds(1);
  Accept(std::move(item));
  clock_.Advance(absl::Seconds(1));
  strings_.LetStep();
  EXPECT_EQ(waiting.Code(), absl::StatusCode::kOk);
  ASSERT_EQ(waiting.results.size(), 1u);
  EXPECT_THAT(waiting.results[0].hypotheses, IsEmpty());
  EXPECT_EQ(waiting.timings[0].queued, absl::Seconds(1));
}

TEST_F(SchedulerTest, TellsTokensAsTheyComeAndTheRestBeforeTheEnd) {
  Start();
  Outcome& outcome = outcomes_.emplace_back();
  auto item = Item({Job(1), Job(2)}, &outcome);
  item->jobs[1].progress = true;
  std::vector<std::pair<int, std::vector<TokenId>>> told;  // on the worker's thread until the end
  item->progress = [&](int job, DecodedHypothesis fresh) {
    EXPECT_FALSE(outcome.over.HasBeenNotified());
    told.emplace_back(job, fresh.tokens);
  };
  Accept(std::move(item));
  for (int step = 1; step <= 3; ++step) {
    strings_.WaitForStep();
    if (step == 1) strings_.FinishInNextStep(1);
    if (step == 3) strings_.FinishInNextStep(2);
    strings_.LetStep();
  }
  EXPECT_THAT(outcome.Names(), ElementsAre(1, 2));
  const std::vector<TokenId> one = {2};
  EXPECT_THAT(told, ElementsAre(std::pair(1, one), std::pair(1, one), std::pair(1, one)));
}

TEST_F(SchedulerTest, GivesResultsAsTheyComeWhereTheyAreWantedSo) {
  Start();
  Outcome& outcome = outcomes_.emplace_back();
  auto item = Item({Job(1), Job(2)}, &outcome);
  std::vector<std::pair<int, TokenId>> given;  // on the worker's thread until the end
  item->finished = [&](int job, const DecodeResult& result) {
    EXPECT_FALSE(outcome.over.HasBeenNotified());
    given.emplace_back(job, result.hypotheses.at(0).tokens.at(0));
  };
  Accept(std::move(item));
  for (const TokenId name : {2, 1}) {
    strings_.WaitForStep();
    strings_.FinishInNextStep(name);
    strings_.LetStep();
  }
  EXPECT_EQ(outcome.Code(), absl::StatusCode::kOk);
  EXPECT_THAT(given, ElementsAre(std::pair(1, 2), std::pair(0, 1)));
  EXPECT_THAT(outcome.results, IsEmpty());
  EXPECT_EQ(outcome.timings.size(), 2u);
}

TEST_F(SchedulerTest, GivesWhatATimeBudgetLeftToo) {
  Start();
  Outcome& outcome = outcomes_.emplace_back();
  auto item = Item({Job(1), Job(2)}, &outcome);
  item->finish_by = clock_.Now() + absl::Seconds(1);
  std::vector<int> given;
  item->finished = [&](int job, const DecodeResult&) { given.push_back(job); };
  Accept(std::move(item));
  strings_.WaitForStep();
  clock_.Advance(absl::Seconds(1));
  strings_.LetStep();
  EXPECT_EQ(outcome.Code(), absl::StatusCode::kOk);
  EXPECT_THAT(given, UnorderedElementsAre(0, 1));
  EXPECT_THAT(outcome.results, IsEmpty());
}

TEST_F(SchedulerTest, MemoryIsHeldUntilItsLeaseIsDestroyed) {
  Outcome large, small, failed;  // their leases end before the scheduler
  Start({.max_queue = 100, .max_request_bytes = 100, .workers = 1});
  auto item = Item({Job(1)}, &large);
  item->running_bytes = 70;
  item->waiting_bytes = 7;
  Accept(std::move(item));
  strings_.WaitForStep();
  item = Item({Job(2)}, &small);
  item->running_bytes = 40;
  item->waiting_bytes = 4;
  Accept(std::move(item));
  EXPECT_EQ(scheduler_->stats().queued_bytes, 4);
  EXPECT_EQ(scheduler_->stats().leased_bytes, 70);
  strings_.FinishInNextStep(1);
  strings_.LetStep();
  EXPECT_THAT(large.Names(), ElementsAre(1));
  EXPECT_EQ(scheduler_->stats().leased_bytes, 70) << "its reply has not been sent";
  EXPECT_EQ(scheduler_->stats().queued_jobs, 1);
  large.memory = MemoryLease();
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(2)) << "an idle worker is woken";
  EXPECT_EQ(scheduler_->stats().leased_bytes, 40);
  strings_.FinishInNextStep(2);
  strings_.LetStep();
  EXPECT_THAT(small.Names(), ElementsAre(2));
  small.memory = MemoryLease();
  EXPECT_EQ(scheduler_->stats().leased_bytes, 0);

  item = Item({Job(3)}, &failed);
  item->running_bytes = 101;
  EXPECT_EQ(scheduler_->Schedule(item).code(), absl::StatusCode::kOutOfRange);
  ASSERT_NE(item, nullptr);
  strings_.CutLoose();
  scheduler_.reset();
}

TEST(SchedulerOfTwoModels, GivesEachAnEqualShareOfTheTime) {
  Outcome outcomes[2];
  FakeClock clock;
  PuppetStrings strings[2];
  auto scheduler = StartScheduler(
      {.max_queue = 10, .workers = 1}, 2, [&](int model) { return strings[model].MakeEngine(4); }, nullptr, &clock);
  for (int model = 0; model < 2; ++model) {
    auto item = Item({Job(10 + model)}, &outcomes[model]);
    item->model = model;
    ASSERT_TRUE(scheduler->Schedule(item).ok());
    if (model == 0) strings[0].WaitForStep();  // model 1's job joins at the next boundary
  }
  strings[0].LetStep();
  EXPECT_THAT(strings[1].WaitForStep(), ElementsAre(11));
  EXPECT_EQ(strings[0].steps(), 1);
  clock.Advance(absl::Milliseconds(3));  // a slow step
  strings[1].LetStep();
  for (int step = 2; step <= 4; ++step) {
    EXPECT_THAT(strings[0].WaitForStep(), ElementsAre(10));
    EXPECT_EQ(strings[1].steps(), 1);
    clock.Advance(absl::Milliseconds(1));
    if (step == 4) clock.Advance(absl::Milliseconds(1));
    strings[0].LetStep();
  }
  EXPECT_THAT(strings[1].WaitForStep(), ElementsAre(11));
  strings[1].FinishInNextStep(11);
  strings[1].LetStep();
  EXPECT_THAT(outcomes[1].Names(), ElementsAre(11));
  EXPECT_THAT(strings[0].WaitForStep(), ElementsAre(10));
  EXPECT_EQ(scheduler->stats().max_rows, 8);
  strings[0].FinishInNextStep(10);
  strings[0].LetStep();
  EXPECT_THAT(outcomes[0].Names(), ElementsAre(10));
}

TEST(SchedulerOfTwoWorkers, SpreadsTheJobsOfAnItemAndEndsThemTogether) {
  Outcome outcome;
  FakeClock clock;
  PuppetStrings strings[2];
  std::atomic<int> made = 0;
  auto scheduler = StartScheduler(
      {.max_queue = 10, .workers = 2}, 1, [&](int) { return strings[made++].MakeEngine(4); }, nullptr, &clock);
  auto item = Item({Job(1), Job(2)}, &outcome);
  item->deadline = clock.Now() + absl::Seconds(1);
  ASSERT_TRUE(scheduler->Schedule(item).ok());
  EXPECT_EQ(strings[0].WaitForStep().size(), 1u);
  EXPECT_EQ(strings[1].WaitForStep().size(), 1u);
  EXPECT_EQ(scheduler->stats().live_jobs, 2);
  clock.Advance(absl::Seconds(1));
  strings[0].LetStep();
  EXPECT_FALSE(outcome.over.HasBeenNotified());  // the other worker still has rows of it
  strings[1].LetStep();
  EXPECT_EQ(outcome.Code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(scheduler->stats().rows_in_use, 0);
  EXPECT_EQ(scheduler->stats().live_jobs, 0);
}

TEST(SchedulerOfTwoWorkers, TheIdleOneTakesWhatWaitedBehindAClaimThatIsGone) {
  FakeClock clock;
  PuppetStrings strings[2];
  std::atomic<int> made = 0;
  auto scheduler = StartScheduler(
      {.max_request_bytes = 100, .workers = 2}, 1, [&](int) { return strings[made++].MakeEngine(4); }, nullptr, &clock);
  Outcome running, claiming, behind;  // their leases end before the scheduler
  const auto accept = [&](TokenId name, int beam_size, std::int64_t bytes, Outcome* outcome, absl::Duration time) {
    auto item = Item({Job(name, beam_size)}, outcome);
    item->running_bytes = bytes;
    item->deadline = clock.Now() + time;
    ASSERT_TRUE(scheduler->Schedule(item).ok());
  };
  accept(1, 3, 60, &running, absl::InfiniteDuration());
  while (strings[0].steps() + strings[1].steps() == 0) std::this_thread::yield();
  const int busy = strings[0].steps() > 0 ? 0 : 1;
  accept(2, 1, 70, &claiming, absl::Hours(1));
  accept(3, 1, 10, &behind, absl::InfiniteDuration());
  clock.Advance(absl::Hours(1));
  strings[busy].LetStep();
  EXPECT_EQ(claiming.Code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(strings[1 - busy].WaitForStep(), ElementsAre(3));
  for (PuppetStrings& each : strings) each.CutLoose();
  scheduler->Drain(absl::ZeroDuration());
}

}  // namespace
}  // namespace heed
