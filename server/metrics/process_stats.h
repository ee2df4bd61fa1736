// What the system says of this process, under the names that every Prometheus client gives it (`process_*`).
//
// A plain function, thread-safe.
#pragma once

#include <string>
#include <vector>

namespace heed {

struct ProcessStat {
  const char* name;  // "process_open_fds"
  const char* help;
  bool counter;  // else a gauge
  double value;
};

// As of now. What `proc` (a /proc) does not say is left out, so that no alert takes a nought for a fact: where there is
// no /proc (or one that hides its files) CPU time and the bound of descriptors remain.
std::vector<ProcessStat> ReadProcessStats(const std::string& proc = "/proc");

}  // namespace heed
