// How much waits, for those who ask at every turn: a look that locks nobody out.
//
// Thread-safe; what is read is what a moment ago was.
#pragma once

#include <atomic>

namespace heed {

class QueueGauge {
 public:
  // Jobs that wait.
  int waiting() const { return waiting_.load(std::memory_order_relaxed); }
  // They are more than there are rows: what comes now waits until as many as are decoded at a time have ended.
  bool crowded() const { return waiting() > rows_.load(std::memory_order_relaxed); }

 protected:
  void Publish(int waiting, int rows) {
    waiting_.store(waiting, std::memory_order_relaxed);
    rows_.store(rows, std::memory_order_relaxed);
  }

 private:
  std::atomic<int> waiting_{0};
  std::atomic<int> rows_{0};
};

}  // namespace heed
