// What a request costs in memory, worked out before it waits: the scheduler's byte budgets (--max_queue_bytes,
// --max_request_bytes) are sums of these, so they bound what requests take of the process.
//
// Plain functions, thread-safe.
#pragma once

#include <cstdint>

#include "server/admission/admission.h"

namespace heed {

struct MemoryCost {
  // While it waits: texts, source tokens, spellings, jobs. What was received is gRPC's (--max_transport_bytes).
  std::int64_t waiting = 0;
  // From its first start until its reply has been sent: that, what its jobs take in an engine (Plan::JobBytes), the
  // reply as messages and the reply as bytes.
  std::int64_t running = 0;
};

// Upper bounds in bytes, but for what the allocator adds by itself and for target pieces of more than 32 bytes, which
// vocabularies have few of. `request` still has its jobs. `streamed`: tokens are told along the way, and gather twice
// more where the reader is slow: as the engine gave them and as events.
MemoryCost CostOf(const AdmittedRequest& request, bool streamed);

}  // namespace heed
