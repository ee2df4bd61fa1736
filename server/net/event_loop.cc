#include "server/net/event_loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace heed {
namespace {

constexpr int kEventsPerTurn = 64;  // then timers, tasks and the others get their turn

}  // namespace

void EventLoop::Timer::Set(absl::Time time) {
  time = std::max(time, loop_->now_ + absl::Nanoseconds(1));  // in another turn, so that all have theirs
  if (time == time_) return;
  if (time_ != absl::InfiniteFuture()) loop_->timers_.erase(entry_);
  time_ = time;
  if (time_ != absl::InfiniteFuture()) entry_ = loop_->timers_.emplace(time_, this);
}

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Make(Options options) {
  std::unique_ptr<EventLoop> loop(new EventLoop(std::move(options)));
  loop->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  loop->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (loop->epoll_ < 0 || loop->wake_ < 0 || !loop->Watch(loop->wake_, EPOLLIN, nullptr)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no descriptors for the thread ", loop->options_.name, ": ", std::strerror(errno)));
  }
  return loop;
}

EventLoop::~EventLoop() {
  Stop();
  dead_.clear();
  if (epoll_ >= 0) close(epoll_);
  if (wake_ >= 0) close(wake_);
}

absl::Status EventLoop::Start() {
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(absl::StrCat("no thread ", options_.name, ": ", error.what()));
  }
  return absl::OkStatus();
}

void EventLoop::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  Wake();
  if (thread_.joinable()) thread_.join();
}

bool EventLoop::Watch(int fd, std::uint32_t events, Source* source) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = source;
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0) return true;
  return errno == ENOENT && epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void EventLoop::Forget(int fd) { epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }

void EventLoop::DeleteLater(std::unique_ptr<Source> source) { dead_.push_back(std::move(source)); }

void EventLoop::Submit(std::function<void()> task) {
  {
    absl::MutexLock lock(&mu_);
    if (stopping_) return;
    tasks_.push_back(std::move(task));
    if (tasks_.size() > 1) return;  // somebody is waking the thread
  }
  Wake();
}

void EventLoop::Wake() { eventfd_write(wake_, 1); }

int EventLoop::MillisecondsToSleep() const {
  if (timers_.empty()) return -1;
  const absl::Duration left = timers_.begin()->first - clock_->Now();
  if (left <= absl::ZeroDuration()) return 0;
  return static_cast<int>(std::min<std::int64_t>(absl::ToInt64Milliseconds(left) + 1, 3'600'000));
}

void EventLoop::RingTimers() {
  while (!timers_.empty() && timers_.begin()->first <= now_) {
    Timer* const timer = timers_.begin()->second;
    timer->Set(absl::InfiniteFuture());
    timer->ring_(now_);
  }
}

void EventLoop::RunTasks() {
  std::vector<std::function<void()>> tasks;
  {
    absl::MutexLock lock(&mu_);
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) task();
}

void EventLoop::Run() {
  pthread_setname_np(pthread_self(), options_.name.c_str());
  std::array<epoll_event, kEventsPerTurn> events;
  for (;;) {
    if (options_.rest) {
      if (const absl::Duration rest = options_.rest(); rest > absl::ZeroDuration()) absl::SleepFor(rest);
    }
    const int ready = epoll_wait(epoll_, events.data(), kEventsPerTurn, MillisecondsToSleep());
    now_ = clock_->Now();
    for (int i = 0; i < ready; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.ptr == nullptr) {
        eventfd_t count = 0;
        eventfd_read(wake_, &count);
      } else {
        static_cast<Source*>(event.data.ptr)->OnReady(event.events);
      }
    }
    RingTimers();
    RunTasks();
    bool more = true;
    while (more) {
      more = false;
      while (options_.hook && options_.hook()) more = true;
      std::vector<Source*> soon;
      soon.swap(soon_);
      for (Source* source : soon) source->OnSoon();
      more = more || !soon.empty();
    }
    dead_.clear();
    absl::MutexLock lock(&mu_);
    if (stopping_ && tasks_.empty()) return;
  }
}

}  // namespace heed
