#include "server/rpc/call_queue.h"

#include <pthread.h>

namespace heed {
namespace {

// A time that an alarm need not wait for.
gpr_timespec Now() { return gpr_inf_past(GPR_CLOCK_REALTIME); }

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
    if (tasks_.size() > 1) return;  // the thread is being woken
  }
  wake_.Set(queue_.get(), Now(), &tasks_);
}

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
  while (!(stopping && calls_ == 0) && queue_->Next(&tag, &ok)) {
    if (tag == this) {
      stopping = true;
    } else if (tag == &tasks_) {
      RunTasks();
    } else {
      static_cast<Event*>(tag)->Happen(ok);
    }
  }
  queue_->Shutdown();
  while (queue_->Next(&tag, &ok)) {
  }
}

QueuedCall::QueuedCall(CallQueue* queue)
    : queue_(queue),
      came_(this, &QueuedCall::OnCame),
      over_(this, &QueuedCall::OnOver),
      answered_(this, &QueuedCall::OnAnswered),
      expired_(this, &QueuedCall::OnExpired) {
  ++queue_->calls_;
}

QueuedCall::~QueuedCall() { --queue_->calls_; }

void QueuedCall::Await() {
  context_.AsyncNotifyWhenDone(over_.Begin());
  Ask(came_.Begin());
}

void QueuedCall::ExpireAt(std::chrono::system_clock::time_point when) {
  expiry_ = std::make_unique<grpc::Alarm>();
  ++to_come_;
  expiry_->Set(queue_->grpc(), when, expired_.Begin());
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
  if (expiry_ != nullptr) expiry_->Cancel();
  Settle();
}

void QueuedCall::OnAnswered(bool /*ok*/) { Settle(); }

void QueuedCall::OnExpired(bool ok) {
  if (ok) context_.TryCancel();  // else it was not needed
  Settle();
}

void QueuedCall::Settle() {
  if (--to_come_ == 0) delete this;
}

}  // namespace heed
