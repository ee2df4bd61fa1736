// Clocks that jump, forwards by hours or backwards, as machines' clocks do: nothing hangs and nothing is lost.
#include <gtest/gtest.h>

#include <memory>

#include "absl/synchronization/notification.h"
#include "server/scheduler/scheduler.h"
#include "tests/server/scheduler/puppet_engine.h"
#include "tests/server/scheduler/start_scheduler.h"
#include "tests/support/fake_clock.h"

namespace heed {
namespace {

struct Ended {
  absl::Notification over;
  absl::Status status;
};

std::unique_ptr<WorkItem> Item(TokenId name, absl::Time deadline, Ended* ended) {
  auto item = std::make_unique<WorkItem>();
  item->model = 0;
  item->jobs.resize(1);
  item->jobs[0].source = {name};
  item->deadline = deadline;
  item->done = [ended](const WorkResult& result) {
    ended->status = result.status;
    ended->over.Notify();
  };
  return item;
}

TEST(ClockJumps, ForwardsByHoursEndsWhatHadADeadlineAndNothingElse) {
  Ended late, waiting, patient;
  FakeClock clock;
  PuppetStrings strings;
  auto scheduler = StartScheduler(
      {.workers = 1}, 1, [&](int) { return strings.MakeEngine(2); }, nullptr, &clock);
  auto item = Item(1, clock.Now() + absl::Minutes(5), &late);
  ASSERT_TRUE(scheduler->Schedule(item).ok());
  item = Item(2, absl::InfiniteFuture(), &patient);
  ASSERT_TRUE(scheduler->Schedule(item).ok());
  strings.WaitForStep();
  strings.LetStep();
  while (strings.WaitForStep().size() < 2) strings.LetStep();
  item = Item(3, clock.Now() + absl::Minutes(5), &waiting);
  ASSERT_TRUE(scheduler->Schedule(item).ok());
  clock.Advance(absl::Hours(7));
  strings.LetStep();
  late.over.WaitForNotification();
  waiting.over.WaitForNotification();
  EXPECT_TRUE(absl::IsDeadlineExceeded(late.status)) << late.status;
  EXPECT_TRUE(absl::IsDeadlineExceeded(waiting.status)) << waiting.status;
  strings.FinishInNextStep(2);
  strings.CutLoose();
  patient.over.WaitForNotification();
  EXPECT_TRUE(patient.status.ok()) << patient.status;
}

TEST(ClockJumps, BackwardsLosesNothing) {
  Ended running, next;
  FakeClock clock;
  PuppetStrings strings;
  auto scheduler = StartScheduler(
      {.batch_ageing = absl::Seconds(1), .workers = 1}, 1, [&](int) { return strings.MakeEngine(1); }, nullptr, &clock);
  auto item = Item(1, clock.Now() + absl::Minutes(5), &running);
  ASSERT_TRUE(scheduler->Schedule(item).ok());
  strings.WaitForStep();
  item = Item(2, clock.Now() + absl::Minutes(5), &next);
  item->priority = Priority::kBatch;
  ASSERT_TRUE(scheduler->Schedule(item).ok());
  clock.Advance(-absl::Hours(7));
  strings.FinishInNextStep(1);
  strings.LetStep();
  running.over.WaitForNotification();
  EXPECT_TRUE(running.status.ok()) << running.status;
  EXPECT_EQ(strings.WaitForStep(), std::vector<TokenId>{2});
  strings.FinishInNextStep(2);
  strings.LetStep();
  next.over.WaitForNotification();
  EXPECT_TRUE(next.status.ok()) << next.status;
  strings.CutLoose();
  scheduler->Drain(absl::Hours(1));
}

}  // namespace
}  // namespace heed
