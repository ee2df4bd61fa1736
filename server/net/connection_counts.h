// How many connections are open, in all and of each address, within bounds; and why those that are gone are gone.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace heed {

struct ConnectionStats {
  int open = 0;
  int limit = 0;
  std::int64_t refused = 0;  // so far, because there were as many as may be, in all or of their address
  std::map<std::string, std::int64_t> faults;  // so far: connections that were ended, by what they did
};

class ConnectionCounts {
 public:
  // `limit` at least 1; `per_address` 0: no bound of its own. Loopback has none either: a proxy or a side-car speaks
  // for many from there. The addresses of an IPv6 /64 are one.
  ConnectionCounts(int limit, int per_address) : per_address_(per_address), limit_(limit) {}

  // Counts one more. False: there are as many as may be, and it is refused, which is counted.
  bool Enter(const std::string& address);
  // As Enter, but for one that is over nothing but the bound of all: false only for its address's.
  bool EnterOver(const std::string& address);
  // One is found to be another's (PROXY header). False: that one has as many as may be; it must still Leave, as `from`.
  bool Move(const std::string& from, const std::string& to);
  // One is gone; `fault` says why, empty where nothing is wrong.
  void Leave(const std::string& address, absl::string_view fault);

  // For as many as the system lets the process open; at least 1.
  void Lower(int limit);
  ConnectionStats stats() const;
  // As many are open as may be.
  bool full() const;

 private:
  bool Add(const std::string& address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Remove(const std::string& address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const int per_address_;
  mutable absl::Mutex mu_;
  int limit_ ABSL_GUARDED_BY(mu_);
  int open_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<std::string, int> by_address_ ABSL_GUARDED_BY(mu_);  // of those that are bounded
  std::int64_t refused_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, std::int64_t> faults_ ABSL_GUARDED_BY(mu_);
};

}  // namespace heed
