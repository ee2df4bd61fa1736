// The connections that clients have open, and the bound on them. gRPC owns each and closes it without a word, so they
// are recognised by what their file descriptors stand for: one whose descriptor is closed, or is something else's by
// now, is gone.
//
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"

namespace heed {

struct ConnectionStats {
  int open = 0;
  int limit = 0;
  std::int64_t refused = 0;  // so far, because there were as many as may be
};

class Connections {
 public:
  // `limit` at least 1; `clock` outlives it.
  Connections(int limit, Clock* clock) : clock_(clock), limit_(limit) {}

  // Counts a socket just accepted, before gRPC has it. False: there are as many as may be, and it is not counted.
  bool Add(int fd);
  // For as many as the system lets the process open; at least 1.
  void Lower(int limit);

  // Ends what the server sends on each, after what it has sent: clients see their connection closed, and calls on it
  // that have no answer fail as UNAVAILABLE. For the end of a drain, when nobody is accepted any more.
  void HangUp();

  ConnectionStats stats() const;

 private:
  // Forgets those that are gone.
  void Sweep() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Clock* const clock_;
  mutable absl::Mutex mu_;
  int limit_ ABSL_GUARDED_BY(mu_);
  mutable absl::flat_hash_map<int, ino_t> sockets_ ABSL_GUARDED_BY(mu_);  // what each descriptor stood for
  mutable absl::Time swept_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  std::int64_t refused_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace heed
