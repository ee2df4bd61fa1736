#include "server/rpc/call_queue.h"

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "engine/base/status_macros.h"

namespace heed {
namespace {

// A time that is over: a look, no wait.
gpr_timespec Now() { return gpr_inf_past(GPR_CLOCK_REALTIME); }

// Replies, refusals and health checks of a crowded server wait at most this long for it, and some steps: a thread that
// were woken for each request would take twice the time for it from those that decode, and refuse no sooner than it
// matters.
constexpr absl::Duration kRest = absl::Milliseconds(3);
constexpr absl::Duration kLookEvery = absl::Milliseconds(2);

thread_local const CallQueue* this_threads = nullptr;

}  // namespace

absl::StatusOr<std::unique_ptr<CallQueue>> CallQueue::Make(std::unique_ptr<grpc::ServerCompletionQueue> queue,
                                                           std::function<bool()> crowded) {
  std::unique_ptr<CallQueue> made(new CallQueue(std::move(queue), std::move(crowded)));
  CallQueue* const raw = made.get();
  HEED_ASSIGN_OR_RETURN(made->loop_,
                        EventLoop::Make({.name = "heed-rpc",
                                         .hook = [raw] { return raw->Turn(); },
                                         .rest = [raw] { return raw->crowded_() ? kRest : absl::ZeroDuration(); }}));
  return made;
}

absl::Status CallQueue::Start() {
  HEED_RETURN_IF_ERROR(loop_->Start());
  started_ = true;
  return absl::OkStatus();
}

void CallQueue::Settle() {
  if (!started_) return;
  absl::Notification settled;
  // The loop's tasks run before those of the queue, which are a turn's work: so a turn ends between the two.
  Submit([this, &settled] { loop_->Submit([&settled] { settled.Notify(); }); });
  settled.WaitForNotification();
}

void CallQueue::LookOften() {
  loop_->Submit([this] {
    look_ = std::make_unique<EventLoop::Timer>(loop_.get(), [this](absl::Time now) { look_->Set(now + kLookEvery); });
    look_->Set(loop_->now());
  });
}

void CallQueue::Stop() {
  if (std::exchange(stopped_, true)) return;
  while (started_ && calls_.load(std::memory_order_acquire) > 0) absl::SleepFor(kLookEvery);
  loop_->Stop();
  look_.reset();
  queue_->Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) static_cast<Completion*>(tag)->Happen(ok);
}

void CallQueue::Submit(std::function<void()> task) {
  {
    absl::MutexLock lock(&mu_);
    tasks_.push_back(std::move(task));
    if (tasks_.size() > 1) return;  // somebody is waking the thread
  }
  DeferredWakes::Wake(this);
}

void CallQueue::Run(std::function<void()> task) {
  if (this_threads == this) return task();
  Submit(std::move(task));
}

bool CallQueue::RunTasks() {
  std::vector<std::function<void()>> tasks;
  {
    absl::MutexLock lock(&mu_);
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) task();
  return !tasks.empty();
}

bool CallQueue::Turn() {
  this_threads = this;
  bool did = RunTasks();
  void* tag = nullptr;
  bool ok = false;
  while (queue_->AsyncNext(&tag, &ok, Now()) == grpc::CompletionQueue::GOT_EVENT) {
    static_cast<Completion*>(tag)->Happen(ok);
    did = true;
  }
  return did;
}

QueuedCall::QueuedCall(CallQueue* queue)
    : queue_(queue),
      came_(this, &QueuedCall::OnCame),
      over_(this, &QueuedCall::OnOver),
      answered_(this, &QueuedCall::OnAnswered) {
  queue_->calls_.fetch_add(1, std::memory_order_relaxed);
}

QueuedCall::~QueuedCall() { queue_->calls_.fetch_sub(1, std::memory_order_release); }

void QueuedCall::Await() {
  context_.AsyncNotifyWhenDone(over_.Begin());
  Ask(came_.Begin());
}

void QueuedCall::OnCame(bool ok) {
  if (!ok) {  // the server shuts down
    delete this;
    return;
  }
  to_come_ = 2;  // over, answered
  Start();       // nothing is deleted before its events come, to this thread
  Another()->Await();
}

void QueuedCall::OnOver(bool /*ok*/) {
  if (context_.IsCancelled()) Cancel();
  Settle();
}

void QueuedCall::OnAnswered(bool /*ok*/) { Settle(); }

void QueuedCall::Settle() {
  if (--to_come_ == 0) delete this;
}

}  // namespace heed
