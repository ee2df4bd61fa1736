#include "engine/base/clock.h"

#include <chrono>

#include "absl/time/clock.h"

namespace heed {
namespace {

class RealClock : public Clock {
 public:
  absl::Time Now() override { return began_ + absl::FromChrono(std::chrono::steady_clock::now() - steady_began_); }

 private:
  const absl::Time began_ = absl::Now();
  const std::chrono::steady_clock::time_point steady_began_ = std::chrono::steady_clock::now();
};

}  // namespace

Clock* Clock::Real() {
  static RealClock* const clock = new RealClock;
  return clock;
}

}  // namespace heed
