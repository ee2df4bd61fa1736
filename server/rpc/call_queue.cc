#include "server/rpc/call_queue.h"

#include <pthread.h>

#include <chrono>

namespace heed {
namespace {

// A time that an alarm need not wait for.
gpr_timespec Now() { return gpr_inf_past(GPR_CLOCK_REALTIME); }

// A look ends with whatever one connection sent, which may be nothing for us.
constexpr int kLooks = 8;
// Replies, refusals and health checks of a crowded server wait at most this long for it, and some steps.
constexpr absl::Duration kRest = absl::Milliseconds(3);
constexpr auto kLookEvery = std::chrono::seconds(1);

}  // namespace

void CallQueue::Start() {
  thread_ = std::thread([this] { Run(); });
}

void CallQueue::Stop() {
  if (!thread_.joinable()) return;
  stop_.Set(queue_.get(), Now(), this);
  thread_.join();
}

void CallQueue::Submit(std::function<void()> task) {
  {
    absl::MutexLock lock(&mu_);
    tasks_.push_back(std::move(task));
    if (tasks_.size() > 1) return;  // somebody is waking the thread
  }
  DeferredWakes::Wake(this);
}

void CallQueue::WakeUp() { wake_.Set(queue_.get(), Now(), &tasks_); }

void CallQueue::RunTasks() {
  std::vector<std::function<void()>> tasks;
  {
    absl::MutexLock lock(&mu_);
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) task();
}

void CallQueue::Run() {
  pthread_setname_np(pthread_self(), "heed-rpc");
  bool stopping = false;
  void* tag = nullptr;
  bool ok = false;
  while (!(stopping && calls_ == 0) && Next(&tag, &ok)) {
    if (tag == this) {
      stopping = true;
    } else if (tag == &tasks_) {
      RunTasks();
    } else if (tag == &expiries_) {
      looking_ = false;
      ExpireCalls();
    } else {
      static_cast<Event*>(tag)->Happen(ok);
    }
  }
  look_.Cancel();
  queue_->Shutdown();
  while (queue_->Next(&tag, &ok)) {
  }
}

void CallQueue::ExpireCalls() {
  const absl::Time now = Clock::Real()->Now();
  while (!expiries_.empty() && expiries_.begin()->first <= now) {
    QueuedCall* const call = expiries_.begin()->second;
    expiries_.erase(expiries_.begin());
    call->expiry_.reset();
    call->context_.TryCancel();
  }
  if (expiries_.empty() || looking_) return;
  looking_ = true;
  look_.Set(queue_.get(), std::chrono::system_clock::now() + kLookEvery, &expiries_);
}

bool CallQueue::Next(void** tag, bool* ok) {
  for (int looks = 0; crowded_();) {
    if (queue_->AsyncNext(tag, ok, Now()) == grpc::CompletionQueue::GOT_EVENT) return true;
    if (++looks % kLooks == 0) absl::SleepFor(kRest);
  }
  return queue_->Next(tag, ok);
}

QueuedCall::QueuedCall(CallQueue* queue)
    : queue_(queue),
      came_(this, &QueuedCall::OnCame),
      over_(this, &QueuedCall::OnOver),
      answered_(this, &QueuedCall::OnAnswered) {
  ++queue_->calls_;
}

QueuedCall::~QueuedCall() { --queue_->calls_; }

void QueuedCall::Await() {
  context_.AsyncNotifyWhenDone(over_.Begin());
  Ask(came_.Begin());
}

void QueuedCall::ExpireAfter(absl::Duration time) {
  expiry_ = queue_->expiries_.emplace(Clock::Real()->Now() + time, this);
  if (!queue_->looking_) queue_->ExpireCalls();
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
  if (expiry_.has_value()) queue_->expiries_.erase(*expiry_);
  Settle();
}

void QueuedCall::OnAnswered(bool /*ok*/) { Settle(); }

void QueuedCall::Settle() {
  if (--to_come_ == 0) delete this;
}

}  // namespace heed
