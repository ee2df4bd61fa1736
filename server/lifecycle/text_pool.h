// The threads that do long text work: admission before decoding, replies after it. The polling thread and the step
// threads stay free for what must be quick.
//
// Bounded by its caller: each request in flight has at most one task here, and the Gate bounds the requests.
//
// Thread-safe.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace heed {

class TextPool {
 public:
  // `threads` at least 1.
  explicit TextPool(int threads);
  // Runs what was submitted, then joins.
  ~TextPool();
  TextPool(const TextPool&) = delete;
  TextPool& operator=(const TextPool&) = delete;

  // Runs `task` on some thread of the pool, in order of submission. Never blocks.
  void Submit(std::function<void()> task);

 private:
  void Run();
  bool Ready() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return closed_ || !tasks_.empty(); }

  absl::Mutex mu_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace heed
