#include "server/net/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"

namespace heed {
namespace {

using ::testing::ElementsAre;

class EventLoopTest : public ::testing::Test {
 protected:
  void Make(EventLoop::Options options = {.name = "loop"}) { loop_ = *EventLoop::Make(std::move(options)); }
  // Runs on the loop's thread and waits for it.
  void Do(const std::function<void()>& task) {
    absl::Notification done;
    loop_->Submit([&] {
      task();
      done.Notify();
    });
    done.WaitForNotification();
  }
  std::unique_ptr<EventLoop> loop_;
};

class Listening : public EventLoop::Source {
 public:
  explicit Listening(std::function<void(std::uint32_t)> ready, std::function<void()> soon = nullptr)
      : ready_(std::move(ready)), soon_(std::move(soon)) {}
  void OnReady(std::uint32_t events) override { ready_(events); }
  void OnSoon() override { soon_(); }

 private:
  const std::function<void(std::uint32_t)> ready_;
  const std::function<void()> soon_;
};

TEST_F(EventLoopTest, TasksRunInOrderAlsoThoseOfBeforeStart) {
  Make();
  std::vector<int> order;
  loop_->Submit([&] { order.push_back(0); });
  ASSERT_TRUE(loop_->Start().ok());
  for (int i = 1; i < 100; ++i) loop_->Submit([&order, i] { order.push_back(i); });
  Do([&] {
    loop_->Submit([&] { order.push_back(101); });
    order.push_back(100);
  });
  loop_->Stop();
  ASSERT_EQ(order.size(), 102);
  for (int i = 0; i < 102; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST_F(EventLoopTest, StoppedItTakesNoMoreTasksAndMayBeStoppedAgain) {
  Make();
  ASSERT_TRUE(loop_->Start().ok());
  loop_->Stop();
  loop_->Submit([] { FAIL(); });
  loop_->Stop();
}

TEST_F(EventLoopTest, NeverStartedItStopsAllTheSame) {
  Make();
  loop_->Submit([] { FAIL(); });
  loop_->Stop();
}

TEST_F(EventLoopTest, TimersRingInOrderOfTheirTimeOnce) {
  Make();
  std::vector<int> order;
  absl::Notification all;
  EventLoop::Timer second(loop_.get(), [&](absl::Time) { order.push_back(2); });
  EventLoop::Timer first(loop_.get(), [&](absl::Time) { order.push_back(1); });
  EventLoop::Timer never(loop_.get(), [&](absl::Time) { order.push_back(0); });
  EventLoop::Timer last(loop_.get(), [&](absl::Time) { all.Notify(); });
  const absl::Time now = loop_->now();
  second.Set(now + absl::Milliseconds(20));
  first.Set(now + absl::Hours(1));
  first.Set(now + absl::Milliseconds(10));
  never.Set(now + absl::Milliseconds(5));
  never.Set(absl::InfiniteFuture());
  last.Set(now + absl::Milliseconds(30));
  ASSERT_TRUE(loop_->Start().ok());
  all.WaitForNotification();
  loop_->Stop();
  EXPECT_THAT(order, ElementsAre(1, 2));
}

// One that goes on at once does so in another turn: whatever else the loop has comes in between.
TEST_F(EventLoopTest, ATimerThatIsSetAgainForNowRingsInAnotherTurn) {
  Make();
  int rings = 0;
  int seen = 0;
  std::unique_ptr<EventLoop::Timer> timer;
  timer = std::make_unique<EventLoop::Timer>(loop_.get(), [&](absl::Time now) {
    if (++rings == 1) loop_->Submit([&] { seen = rings; });
    if (rings < 100) timer->Set(now);
  });
  ASSERT_TRUE(loop_->Start().ok());
  Do([&] { timer->Set(loop_->now()); });
  absl::Notification done;
  EventLoop::Timer later(loop_.get(), [&](absl::Time) { done.Notify(); });
  Do([&] { later.Set(loop_->now() + absl::Milliseconds(100)); });
  done.WaitForNotification();
  loop_->Stop();
  EXPECT_EQ(rings, 100);
  EXPECT_EQ(seen, 1);
}

TEST_F(EventLoopTest, TellsOfDescriptorsUntilForgotten) {
  Make();
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  int told = 0;
  absl::Notification once;
  Listening source([&](std::uint32_t events) {
    EXPECT_EQ(events, std::uint32_t{EPOLLIN});
    if (++told == 1) once.Notify();
    loop_->Forget(fd);
  });
  ASSERT_TRUE(loop_->Watch(fd, EPOLLIN, &source));
  ASSERT_TRUE(loop_->Start().ok());
  eventfd_write(fd, 1);
  once.WaitForNotification();
  Do([] {});
  Do([] {});
  loop_->Stop();
  EXPECT_EQ(told, 1) << "still readable, but forgotten";
  close(fd);
}

TEST_F(EventLoopTest, ADescriptorThatIsNoneIsNotWatched) {
  Make();
  Listening source([](std::uint32_t) {});
  EXPECT_FALSE(loop_->Watch(-1, EPOLLIN, &source));
}

TEST_F(EventLoopTest, SoonIsInTheSameTurnAndOnceEach) {
  Make();
  std::vector<int> order;
  std::unique_ptr<Listening> source;
  source = std::make_unique<Listening>(nullptr, [&] {
    order.push_back(1);
    if (order.size() == 1) loop_->Soon(source.get());  // again, before the loop sleeps
  });
  ASSERT_TRUE(loop_->Start().ok());
  Do([&] { loop_->Soon(source.get()); });
  Do([&] { order.push_back(2); });
  loop_->Stop();
  EXPECT_THAT(order, ElementsAre(1, 1, 2));
}

TEST_F(EventLoopTest, ASourceToBeDeletedIsThereUntilTheTurnsEnd) {
  Make();
  bool gone = false;
  struct Dying : EventLoop::Source {
    explicit Dying(bool* flag) : gone(flag) {}
    ~Dying() override { *gone = true; }
    void OnReady(std::uint32_t) override {}
    bool* const gone;
  };
  ASSERT_TRUE(loop_->Start().ok());
  Do([&] {
    loop_->DeleteLater(std::make_unique<Dying>(&gone));
    EXPECT_FALSE(gone);
  });
  Do([&] { EXPECT_TRUE(gone); });
  loop_->Stop();
}

TEST_F(EventLoopTest, TheHookIsCalledATurnAndAgainWhileItHasMore) {
  int left = 0;
  int calls = 0;
  Make({.name = "loop", .hook = [&] {
          ++calls;
          return left-- > 0;
        }});
  ASSERT_TRUE(loop_->Start().ok());
  Do([&] {
    left = 3;
    calls = 0;
  });
  Do([&] { EXPECT_GE(calls, 4); });
  loop_->Stop();
}

}  // namespace
}  // namespace heed
