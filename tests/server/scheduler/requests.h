// Requests as the rule sees them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/scheduler/model_queue.h"

namespace heed {

inline absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

// A request of jobs with these rows.
inline WaitingRequest Request(RequestId id, std::vector<int> rows, Priority priority = Priority::kInteractive) {
  WaitingRequest request;
  request.id = id;
  request.rows = std::move(rows);
  request.priority = priority;
  request.arrival = At(0);
  return request;
}

inline WaitingRequest WithBytes(RequestId id, std::int64_t running, std::int64_t waiting = 0, int jobs = 1) {
  WaitingRequest request = Request(id, std::vector<int>(static_cast<std::size_t>(jobs), 1));
  request.running_bytes = running;
  request.waiting_bytes = waiting;
  return request;
}

}  // namespace heed
