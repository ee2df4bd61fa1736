// A clock that goes on by a microsecond whenever it is asked: work is as long as it has parts that look at it, however
// slow the machine is.
//
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>

#include "engine/base/clock.h"

namespace heed {

class TickingClock : public Clock {
 public:
  // Begins with the machine's time, so that deadlines are ahead of it.
  absl::Time Now() override { return begin_ + absl::Microseconds(++ticks_); }

 private:
  const absl::Time begin_ = Clock::Real()->Now();
  std::atomic<std::int64_t> ticks_{0};
};

}  // namespace heed
