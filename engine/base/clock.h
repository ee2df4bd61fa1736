// Time, injected: whoever needs the time takes a Clock, so that tests move it by hand.
//
// Thread-safe.
#pragma once

#include "absl/time/time.h"

namespace heed {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() = 0;

  // The machine's, right when the process started and never set since: for how long and until when, which must not
  // jump because somebody sets the date. Never deleted.
  static Clock* Real();
};

}  // namespace heed
