// gRPC's completion queue, the one thread that asks it what happened, and what calls do with the answers. Reading what
// clients sent, parsing it and starting calls all happen on that thread, one after another: it is the only one of the
// process that polls connections. gRPC 1.51's callback and synchronous APIs bring threads of their own, which hand one
// another the role of the poller, some seven switches of thread for a request, and look for work only every 100 ms
// after an idle second.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "server/scheduler/deferred_wakes.h"

namespace heed {

class QueuedCall;

// The end of an operation that gRPC does for a call; its address is the operation's tag. Operations under way have an
// Event each.
//
// Begin by whoever starts the operation, Happen on the queue's thread.
class Event {
 public:
  using Handler = void (QueuedCall::*)(bool ok);
  Event(QueuedCall* call, Handler handler) : call_(call), handler_(handler) {}

  // The tag, for an operation about to be started. What was written before is seen by the handler.
  void* Begin() {
    begun_.store(true, std::memory_order_release);
    return this;
  }
  void Happen(bool ok) {
    if (begun_.exchange(false, std::memory_order_acquire)) (call_->*handler_)(ok);
  }

 private:
  QueuedCall* const call_;
  const Handler handler_;
  std::atomic<bool> begun_{false};
};

// Start, Stop and destruction belong to one thread; Submit is anyone's.
class CallQueue : public Sleeper {
 public:
  // `crowded`: whether what comes has to wait long anyhow; thread-safe and quick.
  CallQueue(std::unique_ptr<grpc::ServerCompletionQueue> queue, std::function<bool()> crowded)
      : queue_(std::move(queue)), crowded_(std::move(crowded)) {}
  ~CallQueue() override { Stop(); }
  CallQueue(const CallQueue&) = delete;
  CallQueue& operator=(const CallQueue&) = delete;

  grpc::ServerCompletionQueue* grpc() const { return queue_.get(); }

  void Start();
  // Runs `task` on the queue's thread, in order of submission. Never blocks. While there is a call. From a thread that
  // defers its wakes, when it wakes.
  void Submit(std::function<void()> task) ABSL_LOCKS_EXCLUDED(mu_);
  // Runs until all calls have ended, then no more. After the server's shutdown, which ends them. Idempotent.
  void Stop();

 private:
  friend class QueuedCall;
  void Run();
  // The next event. While the server is crowded the thread rests between looks: one that were woken for each request
  // would take twice the time for it from those that decode, and refuse no sooner than it matters.
  bool Next(void** tag, bool* ok);
  void RunTasks() ABSL_LOCKS_EXCLUDED(mu_);
  void WakeUp() override;
  // Has calls that gRPC has not ended at their time cancelled, and looks again while there are any.
  void ExpireCalls();

  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  const std::function<bool()> crowded_;
  grpc::Alarm stop_;
  absl::Mutex mu_;
  std::vector<std::function<void()>> tasks_ ABSL_GUARDED_BY(mu_);
  grpc::Alarm wake_;  // under way, or its tag not yet given back, while there are tasks
  // Of Start's caller before Start, then of the queue's thread.
  int calls_ = 0;
  std::multimap<absl::Time, QueuedCall*> expiries_;
  grpc::Alarm look_;
  bool looking_ = false;  // look_ is under way
  std::thread thread_;
};

// A call of a client, or the place for one that has not come. It owns itself: deleted on the queue's thread when it is
// answered, gRPC has told that it is over, and no operation is under way.
//
// All virtual functions run on the queue's thread, as do all handlers of events.
class QueuedCall {
 public:
  // Asks gRPC for the method's next call. When it comes, another one like this one asks for the next.
  void Await();
  CallQueue* queue() const { return queue_; }

 protected:
  explicit QueuedCall(CallQueue* queue);
  virtual ~QueuedCall();
  QueuedCall(const QueuedCall&) = delete;
  QueuedCall& operator=(const QueuedCall&) = delete;

  // Has the service's RequestX put the call here.
  virtual void Ask(void* tag) = 0;
  virtual QueuedCall* Another() const = 0;
  // The call came. From here on it must be answered once: by Finish of gRPC's writer, on any thread, with answered().
  virtual void Start() = 0;
  // The call is over before it was answered: its client is gone or its deadline passed. It must be answered all the
  // same.
  virtual void Cancel() = 0;

  grpc::ServerContext* context() { return &context_; }
  const grpc::ServerContext& context() const { return context_; }
  // The tag of the last operation, after which the call may be gone.
  void* answered() { return answered_.Begin(); }
  // Has gRPC cancel the call, if it is not over, within the second after this. In Start.
  void ExpireAfter(absl::Duration time);

 private:
  friend class CallQueue;
  void OnCame(bool ok);
  void OnOver(bool ok);
  void OnAnswered(bool ok);
  // One event less to come.
  void Settle();

  CallQueue* const queue_;
  grpc::ServerContext context_;
  Event came_;
  Event over_;
  Event answered_;
  int to_come_ = 0;  // of the last two events
  std::optional<std::multimap<absl::Time, QueuedCall*>::iterator> expiry_;
};

}  // namespace heed
