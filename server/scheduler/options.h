// What the scheduler is told at start, and the words that its parts have in common.
//
// Plain values.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "engine/base/core_team.h"

namespace heed {

// A model as the scheduler knows it, from AddModel on. No two ever have the same, so that one of a model that is gone
// means no other.
using ModelId = std::int64_t;
constexpr ModelId kNoModel = -1;

enum class Priority { kInteractive, kBatch };

struct SchedulerOptions {
  // Jobs that may wait, over all models; at least 1. A request that does not fit whole is refused whole.
  int max_queue = 4096;
  // Memory that waiting requests may hold (WorkItem::waiting_bytes).
  std::int64_t max_queue_bytes = 256 << 20;
  // Memory that started requests may take until they are answered (WorkItem::running_bytes). A request over it is
  // refused; one that does not fit now waits, and nobody takes memory before it.
  std::int64_t max_request_bytes = std::int64_t{1} << 30;
  // Rows of batch requests that start for each row of an interactive one while both wait: 1 / batch_share at first...
  int batch_share = 8;
  // ...and as many as of interactive ones once the first of them has waited this long.
  absl::Duration batch_ageing = absl::Seconds(10);
  // Worker threads; 0 means one per core that the quota grants (GrantedCores()).
  int workers = 0;
  // Cores of workers that have nothing to do are lent to it; null: to nobody. It outlives the scheduler.
  CoreTeam* team = nullptr;
};

}  // namespace heed
