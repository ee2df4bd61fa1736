// Models that come and go while a scheduler runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <thread>

#include "absl/synchronization/notification.h"
#include "server/scheduler/scheduler.h"
#include "tests/server/scheduler/puppet_engine.h"
#include "tests/support/fake_clock.h"

namespace heed {
namespace {

using ::testing::ElementsAre;

// An engine of the puppet's that is counted while it is there, on the thread that made it.
class CountedEngine : public PuppetEngine {
 public:
  CountedEngine(PuppetStrings* strings, std::atomic<int>* alive) : PuppetEngine(strings, 4), alive_(alive) {
    ++*alive_;
  }
  ~CountedEngine() override {
    EXPECT_EQ(std::this_thread::get_id(), made_by_);
    --*alive_;
  }

 private:
  std::atomic<int>* const alive_;
  const std::thread::id made_by_ = std::this_thread::get_id();
};

struct Ended {
  absl::Notification over;
  absl::Status status;
  std::vector<DecodeResult> results;
};

class ModelChanges : public ::testing::Test {
 protected:
  void Start(int workers = 1) { scheduler_ = Scheduler::Start({.max_queue = 100, .workers = workers}, &clock_); }
  ~ModelChanges() override {
    strings_.CutLoose();
    others_.CutLoose();
  }

  EngineFactory Factory(PuppetStrings* strings) {
    return [this, strings, held = held_]() -> absl::StatusOr<std::unique_ptr<StepEngine>> {
      return std::make_unique<CountedEngine>(strings, &alive_);
    };
  }
  ModelId Add(PuppetStrings* strings) {
    const absl::StatusOr<ModelId> id = scheduler_->AddModel(Factory(strings), nullptr);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.value_or(kNoModel);
  }

  std::unique_ptr<WorkItem> Item(ModelId model, TokenId name, int beam_size, Ended* ended) {
    auto item = std::make_unique<WorkItem>();
    item->model = model;
    item->jobs.resize(1);
    item->jobs[0].source = {name};
    item->jobs[0].search.beam_size = beam_size;
    item->done = [ended](WorkResult result) {
      ended->status = std::move(result.status);
      ended->results = std::move(result.results);
      ended->over.Notify();  // twice would abort
    };
    return item;
  }
  Ended* Send(ModelId model, TokenId name, int beam_size = 1) {
    Ended* const ended = &ended_.emplace_back();
    auto item = Item(model, name, beam_size, ended);
    const absl::Status status = scheduler_->Schedule(item);
    EXPECT_TRUE(status.ok()) << status;
    return ended;
  }

  static void Finish(PuppetStrings* strings, TokenId name) {
    strings->WaitForStep();
    strings->FinishInNextStep(name);
    strings->LetStep();
  }

  FakeClock clock_;
  PuppetStrings strings_, others_;
  std::atomic<int> alive_ = 0;                           // engines
  std::shared_ptr<int> held_ = std::make_shared<int>();  // by factories
  std::deque<Ended> ended_;
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(ModelChanges, OneThatIsAddedBetweenTwoStepsOfAnotherIsServedBesideIt) {
  Start();
  const ModelId first = Add(&strings_);
  Ended* const running = Send(first, 1);
  EXPECT_THAT(strings_.WaitForStep(), ElementsAre(1));
  ModelId second = kNoModel;
  std::thread adds([&] { second = Add(&others_); });
  while (alive_ < 2) {  // the worker takes its time
    if (others_.steps() > 0) break;
    strings_.LetStep();
    strings_.WaitForStep();
  }
  adds.join();
  EXPECT_NE(second, first);
  EXPECT_EQ(scheduler_->stats().max_rows, 8);
  Ended* const beside = Send(second, 2);
  strings_.LetStep();
  Finish(&others_, 2);
  beside->over.WaitForNotification();
  EXPECT_TRUE(beside->status.ok()) << beside->status;
  EXPECT_FALSE(running->over.HasBeenNotified());
  Finish(&strings_, 1);
  running->over.WaitForNotification();
  EXPECT_TRUE(running->status.ok()) << running->status;
}

TEST_F(ModelChanges, OneThatIsRetiredTakesNoMoreAndFinishesWhatItHas) {
  Start();
  const ModelId model = Add(&strings_);
  Ended* const running = Send(model, 1, 4);
  strings_.WaitForStep();
  Ended* const waiting = Send(model, 2, 4);
  absl::Notification gone;
  ASSERT_TRUE(scheduler_
                  ->RetireModel(model,
                                [&] {
                                  EXPECT_TRUE(waiting->over.HasBeenNotified());
                                  EXPECT_EQ(alive_, 0);
                                  EXPECT_EQ(held_.use_count(), 1) << "the factory is destroyed";
                                  gone.Notify();
                                })
                  .ok());
  EXPECT_EQ(scheduler_->RetireModel(model, nullptr).code(), absl::StatusCode::kNotFound) << "once";
  Ended late;
  auto item = Item(model, 3, 1, &late);
  EXPECT_EQ(scheduler_->CheckRoom(*item).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(scheduler_->Schedule(item).code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(item, nullptr);
  Finish(&strings_, 1);
  running->over.WaitForNotification();
  EXPECT_FALSE(gone.HasBeenNotified());
  Finish(&strings_, 2);
  waiting->over.WaitForNotification();
  gone.WaitForNotification();
  for (const Ended* each : {running, waiting}) {
    EXPECT_TRUE(each->status.ok()) << each->status;
    EXPECT_EQ(each->results.size(), 1u);
  }
  EXPECT_EQ(scheduler_->stats().max_rows, 0);
  EXPECT_EQ(scheduler_->Schedule(item).code(), absl::StatusCode::kUnavailable);
}

TEST_F(ModelChanges, AnIdleOneGoesAtOnceAndMayComeAgainUnderAnotherId) {
  Start(/*workers=*/3);
  std::vector<ModelId> ids;
  for (int round = 0; round < 3; ++round) {
    ids.push_back(Add(&strings_));
    EXPECT_EQ(alive_, 3);
    absl::Notification gone;
    ASSERT_TRUE(scheduler_->RetireModel(ids.back(), [&] { gone.Notify(); }).ok());
    gone.WaitForNotification();
    EXPECT_EQ(alive_, 0);
  }
  EXPECT_THAT(ids, ElementsAre(0, 1, 2));
  strings_.CutLoose();
  const ModelId last = Add(&strings_);
  strings_.FinishInNextStep(7);
  Ended* const served = Send(last, 7);
  served->over.WaitForNotification();
  EXPECT_TRUE(served->status.ok()) << served->status;
  EXPECT_EQ(scheduler_->RetireModel(ids[0], nullptr).code(), absl::StatusCode::kNotFound);
}

TEST_F(ModelChanges, CancelledWorkLetsARetiredModelGo) {
  Start();
  const ModelId model = Add(&strings_);
  Send(model, 1, 4);
  strings_.WaitForStep();
  Ended* const waiting = &ended_.emplace_back();
  auto item = Item(model, 2, 4, waiting);
  item->cancelled = std::make_shared<std::atomic<bool>>(false);
  const auto cancelled = item->cancelled;
  ASSERT_TRUE(scheduler_->Schedule(item).ok());
  absl::Notification gone;
  ASSERT_TRUE(scheduler_->RetireModel(model, [&] { gone.Notify(); }).ok());
  *cancelled = true;
  scheduler_->Nudge();
  Finish(&strings_, 1);
  gone.WaitForNotification();
  EXPECT_TRUE(waiting->over.HasBeenNotified());
  EXPECT_EQ(waiting->status.code(), absl::StatusCode::kCancelled);
}

TEST_F(ModelChanges, DrainFinishesTheWorkOfARetiredModelAndItIsGone) {
  Start();
  const ModelId model = Add(&strings_);
  Ended* const running = Send(model, 1);
  strings_.WaitForStep();
  std::atomic<int> gone = 0;
  ASSERT_TRUE(scheduler_->RetireModel(model, [&] { ++gone; }).ok());
  std::thread drain([this] { scheduler_->Drain(absl::Hours(1)); });
  Finish(&strings_, 1);
  drain.join();
  EXPECT_TRUE(running->status.ok()) << running->status;
  EXPECT_EQ(gone, 1);
  EXPECT_EQ(alive_, 0);
}

TEST_F(ModelChanges, ADrainWhoseTimeIsOverEndsWorkFirstAndThenTheRetiredModel) {
  Start();
  const ModelId model = Add(&strings_);
  const ModelId other = Add(&others_);
  Ended* const running = Send(model, 1, 4);
  strings_.WaitForStep();
  Ended* const waiting = Send(model, 2);
  int gone = 0;
  ASSERT_TRUE(scheduler_
                  ->RetireModel(model,
                                [&] {
                                  EXPECT_TRUE(running->over.HasBeenNotified() && waiting->over.HasBeenNotified());
                                  ++gone;
                                })
                  .ok());
  std::thread drain([this] { scheduler_->Drain(absl::ZeroDuration()); });
  waiting->over.WaitForNotification();
  strings_.LetStep();
  drain.join();
  EXPECT_EQ(running->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(waiting->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(gone, 1);
  EXPECT_EQ(alive_, 0);
  EXPECT_EQ(held_.use_count(), 1) << "that of the model that served to the end too";
  EXPECT_EQ(scheduler_->RetireModel(other, nullptr).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(scheduler_->AddModel(Factory(&strings_), nullptr).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ModelChanges, DrainDoesNotWaitForAModelThatIsBeingAdded) {
  Start();
  const ModelId model = Add(&strings_);
  Send(model, 1);
  strings_.WaitForStep();
  absl::Status added;
  std::thread adds([&] { added = scheduler_->AddModel(Factory(&others_), nullptr).status(); });
  while (scheduler_->stats().models < 2) std::this_thread::yield();
  std::thread drain([this] { scheduler_->Drain(absl::ZeroDuration()); });
  adds.join();  // the worker is inside its step all the time
  EXPECT_EQ(added.code(), absl::StatusCode::kUnavailable);
  strings_.LetStep();
  drain.join();
  EXPECT_EQ(held_.use_count(), 1);
}

// Engines are made where they run, so only then is it known that there is no memory for one.
TEST_F(ModelChanges, OneWithoutAnEngineForEveryWorkerIsNotAddedAndLeavesNothing) {
  Start(/*workers=*/4);
  std::atomic<int> tried = 0;
  const auto id = scheduler_->AddModel(
      [&, made = Factory(&strings_)]() -> absl::StatusOr<std::unique_ptr<StepEngine>> {
        if (++tried == 2) return absl::ResourceExhaustedError("no room for an engine");
        return made();
      },
      nullptr);
  EXPECT_EQ(id.status().ToString(), "RESOURCE_EXHAUSTED: no room for an engine");
  EXPECT_EQ(tried, 4);
  EXPECT_EQ(alive_, 0);
  EXPECT_EQ(held_.use_count(), 1);
  EXPECT_EQ(scheduler_->stats().models, 0);
  Add(&strings_);
  EXPECT_EQ(alive_, 4);
}

TEST_F(ModelChanges, AnUnknownModelIsRefused) {
  Start();
  Ended never;
  auto item = Item(kNoModel, 1, 1, &never);
  EXPECT_EQ(scheduler_->Schedule(item).ToString(), "UNAVAILABLE: the model is not served any more");
}

}  // namespace
}  // namespace heed
