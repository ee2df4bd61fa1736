#include "server/lifecycle/text_pool.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace heed {
namespace {

// Long text work takes what the others leave: threads that decode and answer go before it where cores are few.
constexpr int kNiceness = 5;

void YieldToOthers() { setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kNiceness); }

TextQueueOptions WithThreads(TextQueueOptions options, int threads) {
  options.threads = threads;
  return options;
}

}  // namespace

TextPool::TextPool(int threads, TextQueueOptions options, Clock* clock)
    : slice_(options.slice), clock_(clock), queue_(WithThreads(options, std::max(1, threads))) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(/*only_short=*/false); });
  if (threads > 0) threads_.emplace_back([this] { Run(/*only_short=*/true); });
}

TextPool::~TextPool() {
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void TextPool::Submit(TextTask task) {
  absl::MutexLock lock(&mu_);
  steps_.emplace(queue_.Add(std::move(task.info), clock_->Now()), std::move(task.step));
}

bool TextPool::RunSlice() {
  std::optional<TextQueue::Id> id;
  {
    absl::MutexLock lock(&mu_);
    id = queue_.Take(clock_->Now());
  }
  if (!id.has_value()) return false;
  RunSliceOf(*id);
  return true;
}

int TextPool::size() const {
  absl::MutexLock lock(&mu_);
  return queue_.size();
}

void TextPool::Run(bool only_short) {
  if (!only_short) YieldToOthers();
  const auto ready = [this, only_short] {
    mu_.AssertReaderHeld();
    return queue_.CanTake(only_short) || (closed_ && (only_short || queue_.size() == 0));
  };
  while (true) {
    std::optional<TextQueue::Id> id;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(&ready));
      id = only_short ? queue_.TakeShort(clock_->Now()) : queue_.Take(clock_->Now());
      if (!id.has_value() && closed_) return;
    }
    if (id.has_value()) RunSliceOf(*id);
  }
}

void TextPool::RunSliceOf(TextQueue::Id id) {
  std::function<bool()>* step = nullptr;
  {
    absl::MutexLock lock(&mu_);
    step = &steps_.at(id);
  }
  const absl::Time begin = clock_->Now();
  bool more = true;
  absl::Time now = begin;
  while (more && now - begin < slice_) {
    more = (*step)();
    now = clock_->Now();
  }
  std::function<bool()> done;  // what it holds is destroyed after the lock
  absl::MutexLock lock(&mu_);
  queue_.Put(id, now - begin, !more, now);
  if (more) return;
  done = std::move(*step);
  steps_.erase(id);
}

}  // namespace heed
