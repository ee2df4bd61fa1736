// Lets requests in, at most so many at a time, and shuts for good when the server drains.
//
// Thread-safe.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace heed {

class Gate {
 public:
  explicit Gate(int limit) : limit_(limit) {}

  // OK: inside, Leave must follow. RESOURCE_EXHAUSTED: full, the message gives the number. UNAVAILABLE: draining.
  absl::Status Enter();
  void Leave();

  // Lets nobody in any more.
  void Shut();
  // Waits until everybody has left, at most `time`; whether they have.
  bool WaitEmpty(absl::Duration time);
  int inside() const;

 private:
  bool Empty() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return inside_ == 0; }

  const int limit_;
  mutable absl::Mutex mu_;
  int inside_ ABSL_GUARDED_BY(mu_) = 0;
  bool shut_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace heed
