// A bound on bytes that many hold together: each takes before it holds, and gives back.
//
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>

namespace heed {

class ByteAccount {
 public:
  explicit ByteAccount(std::int64_t limit) : limit_(limit) {}
  ByteAccount(const ByteAccount&) = delete;
  ByteAccount& operator=(const ByteAccount&) = delete;

  // False, and nothing taken, where it would be over the limit.
  bool Take(std::int64_t bytes) { return TakeWithin(bytes, limit_); }
  // The same for a limit of one's own, no higher.
  bool TakeWithin(std::int64_t bytes, std::int64_t limit) {
    if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limit) return true;
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  void Give(std::int64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  std::int64_t used() const { return used_.load(std::memory_order_relaxed); }
  std::int64_t limit() const { return limit_; }

 private:
  const std::int64_t limit_;
  std::atomic<std::int64_t> used_{0};
};

}  // namespace heed
