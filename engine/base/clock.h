// Time, injected: whoever needs the time takes a Clock, so that tests move it by hand.
//
// Thread-safe.
#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace heed {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() = 0;

  // The machine's clock; never deleted.
  static Clock* Real();
};

}  // namespace heed
