// What all sessions of the edge share: bounds, accounts, the methods that there are, and the count of what was refused.
//
// EdgeCounts and the accounts are thread-safe; the rest is set before the first session and never changes.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "server/edge/backend.h"
#include "server/net/byte_account.h"

namespace heed {

// Every one is a flag of the server, but for the windows.
struct EdgeLimits {
  std::size_t stream_window = 64 << 10;                 // bytes of a call on their way, before there is room for more
  std::size_t large_window = 256 << 10;                 // of one with a large message: 5 MB/s at 50 ms
  std::size_t connection_window = 1 << 20;              // of all calls of a connection
  std::size_t max_header_bytes = 8 << 10;               // of a call's metadata: names and values, 32 more for each
  std::size_t max_header_block_bytes = 32 << 10;        // of one header block on its way
  int max_streams = 1256;                               // calls of a connection at a time
  int max_control_frames = 1000;                        // a second, of a connection
  std::int64_t max_connection_bytes = 64 << 20;         // request messages of a connection that nobody has taken yet
  std::int64_t max_connection_unread_bytes = 64 << 20;  // answers of a connection that its client has not taken
  absl::Duration handshake_time = absl::Seconds(20);    // until HTTP/2 is spoken
  absl::Duration first_request_time = absl::Minutes(1);
  absl::Duration header_time = absl::Seconds(10);   // for a header block to be whole
  absl::Duration message_time = absl::Seconds(30);  // for a call's messages to be whole
  absl::Duration stalled_time = absl::Seconds(20);  // that a client may take nothing of what waits for it
  absl::Duration max_deadline = absl::Hours(1);
  absl::Duration keepalive_time = absl::Seconds(60);
  absl::Duration keepalive_timeout = absl::Seconds(20);
  absl::Duration max_idle = absl::InfiniteDuration();   // without a call
  absl::Duration max_age = absl::InfiniteDuration();    // then no new calls, a tenth more or less
  absl::Duration age_grace = absl::InfiniteDuration();  // for those that there are
};

class EdgeCounts {
 public:
  // A call that the edge answered itself, or ended: why, a short constant.
  void Refused(absl::string_view reason) {
    absl::MutexLock lock(&mu_);
    ++refused_[std::string(reason)];
  }
  std::map<std::string, std::int64_t> refused() const {
    absl::MutexLock lock(&mu_);
    return refused_;
  }

 private:
  mutable absl::Mutex mu_;
  std::map<std::string, std::int64_t> refused_ ABSL_GUARDED_BY(mu_);
};

struct Edge {
  Edge(const EdgeLimits& edge_limits, std::int64_t transport_bytes, std::int64_t unread_bytes)
      : limits(edge_limits), transport(transport_bytes), aside(transport_bytes / 4), unread(unread_bytes) {}

  const EdgeLimits limits;
  MethodTable methods;
  ByteAccount transport;  // requests as received, and what a call takes at the edge
  // Of that what is the beginning of messages which wait for room: no more than a quarter, or beginnings could hold
  // what every one of them waits for.
  ByteAccount aside;
  ByteAccount unread;  // answers that clients have not taken
  EdgeCounts counts;
  Clock* clock = Clock::Real();
};

}  // namespace heed
