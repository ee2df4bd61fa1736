// The threads that do long text work: admission before decoding, replies after it. The polling thread and the step
// threads stay free for what must be quick. Tasks are done in slices of some milliseconds, in the order that
// text_queue.h states, so a short one does not wait for long ones; one thread more does short ones alone, so that it
// does not wait for a long slice either (a sentence is never cut in two). Those that take long ones run at a lower
// priority of the system's, so that where cores are few it is the long text that waits.
//
// Bounded by its caller: each request in flight has at most one task here, and the Gate bounds the requests.
//
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/clock.h"
#include "server/lifecycle/text_queue.h"

namespace heed {

struct TextTask {
  TextTaskInfo info;
  // Does a part, well below a slice, and says whether more is left. On any thread of the pool, one at a time; the pool
  // touches nothing of the task's owner after the last.
  std::function<bool()> step;
};

class TextPool {
 public:
  // `threads` and one for short tasks; 0: none at all, and RunSlice does the work (tests). options.threads is not read.
  // `clock` outlives it.
  TextPool(int threads, TextQueueOptions options, Clock* clock);
  // Does what was submitted, then joins.
  ~TextPool();
  TextPool(const TextPool&) = delete;
  TextPool& operator=(const TextPool&) = delete;

  // Never blocks.
  void Submit(TextTask task);
  // Does a slice on this thread, at once; false where nothing waits.
  bool RunSlice();
  // Tasks that are not over.
  int size() const;

 private:
  void Run(bool only_short);
  // A slice of a task that was taken.
  void RunSliceOf(TextQueue::Id id) ABSL_LOCKS_EXCLUDED(mu_);

  const absl::Duration slice_;
  Clock* const clock_;
  mutable absl::Mutex mu_;
  TextQueue queue_ ABSL_GUARDED_BY(mu_);
  std::map<TextQueue::Id, std::function<bool()>> steps_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace heed
