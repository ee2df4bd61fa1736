// Memory that a started request holds; given back, and waiting requests woken, when it is destroyed. It may outlive its
// item (a reply that is being sent) but not the scheduler.
//
// Move-only; not thread-safe: one thread at a time has it.
#pragma once

#include <functional>
#include <utility>

namespace heed {

class MemoryLease {
 public:
  MemoryLease() = default;
  explicit MemoryLease(std::function<void()> give_back) : give_back_(std::move(give_back)) {}
  MemoryLease(MemoryLease&& other) noexcept : give_back_(std::exchange(other.give_back_, nullptr)) {}
  MemoryLease& operator=(MemoryLease&& other) noexcept {
    std::swap(give_back_, other.give_back_);
    return *this;
  }
  ~MemoryLease() {
    if (give_back_) give_back_();
  }

 private:
  std::function<void()> give_back_;
};

}  // namespace heed
