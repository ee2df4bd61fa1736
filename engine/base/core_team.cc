#include "engine/base/core_team.h"

#include <pthread.h>

#include <algorithm>

namespace heed {
namespace {

constexpr std::uint32_t kPlace = 1 << 16;

}  // namespace

CoreTeam::CoreTeam(int threads, const std::function<void()>& start) {
  threads_.reserve(threads);
  for (int i = 1; i <= threads; ++i) threads_.emplace_back([this, i, start] { Help(i, start); });
}

CoreTeam::~CoreTeam() {
  ended_ = true;
  calls_.fetch_add(1);
  calls_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void CoreTeam::Run(int parts, absl::FunctionRef<void(int part, int who)> work) {
  const int helpers = std::min({lent_.load(std::memory_order_relaxed), threads(), parts - 1});
  if (helpers <= 0 || !mu_.TryLock()) {
    for (int part = 0; part < parts; ++part) work(part, 0);
    return;
  }
  work_ = &work;
  parts_ = parts;
  next_.store(0, std::memory_order_relaxed);
  places_.store(kPlace * helpers, std::memory_order_release);
  calls_.fetch_add(1, std::memory_order_release);
  // As many as are wanted wake; where that is fewer than all, others may, too, and find no place.
  if (helpers == threads()) {
    calls_.notify_all();
  } else {
    for (int i = 0; i < helpers; ++i) calls_.notify_one();
  }
  DoParts(work, parts, 0);
  // Nobody comes in any more; who is in ends the part at hand.
  std::uint32_t inside = places_.fetch_and(kPlace - 1, std::memory_order_acq_rel) & (kPlace - 1);
  while (inside > 0) {
    std::this_thread::yield();
    inside = places_.load(std::memory_order_acquire);
  }
  mu_.Unlock();
}

void CoreTeam::DoParts(const Work& work, int parts, int who) {
  for (int part; (part = next_.fetch_add(1, std::memory_order_relaxed)) < parts;) work(part, who);
}

bool CoreTeam::Join() {
  std::uint32_t seen = places_.load(std::memory_order_relaxed);
  while (seen >= kPlace) {
    if (places_.compare_exchange_weak(seen, seen - kPlace + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void CoreTeam::Help(int who, const std::function<void()>& start) {
  pthread_setname_np(pthread_self(), "heed-helper");
  if (start) start();
  std::uint32_t seen = 0;
  while (!ended_) {
    if (Join()) {
      DoParts(*work_, parts_, who);
      places_.fetch_sub(1, std::memory_order_release);
    }
    calls_.wait(seen);
    seen = calls_.load();
  }
}

}  // namespace heed
