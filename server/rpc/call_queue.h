// gRPC's completion queue on a loop of ours (server/net/event_loop.h), and what calls do with the answers. One thread
// has the connections, the edge's sessions, the calls that they make of gRPC inside the process, and the calls that
// gRPC makes of us: they come, are parsed, started and answered one after another on it.
//
// gRPC wakes nobody here: it is called on this thread alone, so that what it has to tell is there when the call
// returns, and is asked for once a turn.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>

#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/net/event_loop.h"
#include "server/scheduler/deferred_wakes.h"
#include "server/serving/context.h"

namespace heed {

class QueuedCall;

// What an operation's end is told to; its address is the operation's tag.
class Completion {
 public:
  virtual ~Completion() = default;
  virtual void Happen(bool ok) = 0;
};

// The end of an operation that gRPC does for a call. Operations under way have an Event each.
//
// Of the queue's thread.
class Event : public Completion {
 public:
  using Handler = void (QueuedCall::*)(bool ok);
  Event(QueuedCall* call, Handler handler) : call_(call), handler_(handler) {}

  // The tag, for an operation about to be started.
  void* Begin() { return static_cast<Completion*>(this); }
  void Happen(bool ok) override { (call_->*handler_)(ok); }

 private:
  QueuedCall* const call_;
  const Handler handler_;
};

// Make, Start, Settle, Stop and destruction belong to one thread; Submit and Run are anyone's.
class CallQueue : public Sleeper, public Executor {
 public:
  // `crowded`: whether what comes has to wait long anyhow; thread-safe and quick. RESOURCE_EXHAUSTED: the system gives
  // no descriptors.
  static absl::StatusOr<std::unique_ptr<CallQueue>> Make(std::unique_ptr<grpc::ServerCompletionQueue> queue,
                                                         std::function<bool()> crowded);
  ~CallQueue() override { Stop(); }
  CallQueue(const CallQueue&) = delete;
  CallQueue& operator=(const CallQueue&) = delete;

  grpc::ServerCompletionQueue* grpc() const { return queue_.get(); }
  EventLoop* loop() const { return loop_.get(); }

  // RESOURCE_EXHAUSTED: the system gives no thread.
  absl::Status Start();
  // Runs `task` on the queue's thread, in order of submission. Never blocks. From a thread that defers its wakes, when
  // it wakes.
  void Submit(std::function<void()> task) override ABSL_LOCKS_EXCLUDED(mu_);
  // Runs it there now, where this is the queue's thread, else as Submit.
  void Run(std::function<void()> task);
  // Returns when what was submitted before has run, gRPC has told what came of it, and it was written to whoever takes
  // it. From another thread; at once where the queue was not started.
  void Settle();
  // From here on gRPC is called by another thread too, to shut down: looks for what it has to tell by itself.
  void LookOften();
  // Runs until all calls have ended, then no more. After the server's shutdown, which ends them. Idempotent.
  void Stop();

 private:
  friend class QueuedCall;
  CallQueue(std::unique_ptr<grpc::ServerCompletionQueue> queue, std::function<bool()> crowded)
      : queue_(std::move(queue)), crowded_(std::move(crowded)) {}
  // What gRPC and other threads have for this one. Whether there was something.
  bool Turn();
  bool RunTasks() ABSL_LOCKS_EXCLUDED(mu_);
  void WakeUp() override { loop_->Wake(); }

  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  const std::function<bool()> crowded_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<EventLoop::Timer> look_;
  absl::Mutex mu_;
  std::vector<std::function<void()>> tasks_ ABSL_GUARDED_BY(mu_);
  std::atomic<int> calls_{0};  // written by Start's caller before Start, then by the queue's thread
  bool started_ = false;
  bool stopped_ = false;
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
  // The call came. From here on it must be answered once: by Finish of gRPC's writer, on the queue's thread, with
  // answered().
  virtual void Start() = 0;
  // The call is over before it was answered: its client is gone or its deadline passed. It must be answered all the
  // same.
  virtual void Cancel() = 0;

  grpc::ServerContext* context() { return &context_; }
  const grpc::ServerContext& context() const { return context_; }
  // The tag of the last operation, after which the call may be gone.
  void* answered() { return answered_.Begin(); }

 private:
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
};

}  // namespace heed
