// One thread that waits for sockets, for the time and for what other threads hand it. Everything on it happens one
// thing after another, so what belongs to a loop needs no locks.
//
// A turn: what sockets tell, timers that are due, tasks, the hook, and whoever asked to be called soon.
//
// Submit, Wake and Stop are anyone's; all else is for the loop's thread, or before Start.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"

namespace heed {

class EventLoop {
 public:
  // Something that is told of its socket. It must not be destroyed within a turn that may still call it: DeleteLater.
  class Source {
   public:
    virtual ~Source() = default;
    // Of EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR.
    virtual void OnReady(std::uint32_t events) = 0;
    // Asked for by Soon.
    virtual void OnSoon() {}
  };

  // A time at which a function is called. Belongs to the loop's thread; destroyed before the loop.
  class Timer {
   public:
    Timer(EventLoop* loop, std::function<void(absl::Time now)> ring) : loop_(loop), ring_(std::move(ring)) {}
    ~Timer() { Set(absl::InfiniteFuture()); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    // Once, at `time` or soon after; replaces what was set. InfiniteFuture: not at all.
    void Set(absl::Time time);

   private:
    friend class EventLoop;
    EventLoop* const loop_;
    const std::function<void(absl::Time)> ring_;
    absl::Time time_ = absl::InfiniteFuture();
    std::multimap<absl::Time, Timer*>::iterator entry_;
  };

  // `hook` is called once a turn and again as long as it says that it did something; null: none. `rest`: how long to
  // leave what comes alone before the next look, for a thread that has better things to do; null: not at all.
  // RESOURCE_EXHAUSTED: the system gives no descriptors.
  struct Options {
    std::string name;  // of the thread, 15 characters at most
    std::function<bool()> hook;
    std::function<absl::Duration()> rest;
  };
  static absl::StatusOr<std::unique_ptr<EventLoop>> Make(Options options);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // RESOURCE_EXHAUSTED: the system gives no thread.
  absl::Status Start();
  // Ends the loop after the turn under way and joins its thread. Idempotent.
  void Stop();

  // Watches a descriptor for these events, or for others than before. False: the system has no room for it.
  bool Watch(int fd, std::uint32_t events, Source* source);
  // Before the descriptor is closed.
  void Forget(int fd);
  // Has OnSoon called once before the loop sleeps.
  void Soon(Source* source) { soon_.push_back(source); }
  // No call to it is under way any more when it is destroyed.
  void DeleteLater(std::unique_ptr<Source> source);
  // Of the turn.
  absl::Time now() const { return now_; }

  // Runs `task` on the loop's thread, in order of submission. Never blocks; after Stop it is dropped.
  void Submit(std::function<void()> task) ABSL_LOCKS_EXCLUDED(mu_);
  // Makes it take a turn.
  void Wake();

 private:
  explicit EventLoop(Options options) : options_(std::move(options)) {}
  void Run();
  int MillisecondsToSleep() const;
  void RingTimers();
  void RunTasks() ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  Clock* const clock_ = Clock::Real();
  int epoll_ = -1;
  int wake_ = -1;  // an eventfd
  absl::Time now_ = clock_->Now();
  std::multimap<absl::Time, Timer*> timers_;
  std::vector<Source*> soon_;
  std::vector<std::unique_ptr<Source>> dead_;
  absl::Mutex mu_;
  std::vector<std::function<void()>> tasks_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace heed
