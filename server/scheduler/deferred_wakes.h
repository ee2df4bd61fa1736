// One wake-up instead of many. A step ends jobs of several requests and tells others their tokens; a thread that was
// woken at the first of them would take this one's core, find one thing to do, sleep, and be woken for the next.
#pragma once

#include <vector>

namespace heed {

// A thread that sleeps until there is something for it to do.
class Sleeper {
 public:
  virtual ~Sleeper() = default;
  // Thread-safe; never blocks.
  virtual void WakeUp() = 0;
};

// While one lives, whom its thread would wake is woken when it is destroyed. One within another adds nothing.
class DeferredWakes {
 public:
  DeferredWakes();
  ~DeferredWakes();
  DeferredWakes(const DeferredWakes&) = delete;
  DeferredWakes& operator=(const DeferredWakes&) = delete;

  // Wakes now, or later where this thread defers. Once for each sleeper; it lives until then.
  static void Wake(Sleeper* sleeper);

 private:
  std::vector<Sleeper*> sleepers_;
};

}  // namespace heed
