// The one account of memory: how much the process may take, and which part of it each kind of thing may.
//
//   models     what loading has computed: weights, tables, tokenisers, and the buffers of every worker
//   work       started requests until they are answered            --max_request_bytes
//   queue      requests that wait                                  --max_queue_bytes
//   transport  requests as received, connections                   --max_transport_bytes
//   unread     answers that clients have not taken yet             --max_unread_bytes
//   other      the program, stacks, the allocator's holes, text that is being cut and tokenised
//
// A part whose flag was given stays as it is. The others have their defaults, or where the account is too small for
// those, less, all by the same factor, down to their least.
//
// Plain functions, thread-safe: arithmetic only. Sums and products do not overflow; too much is too much.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "server/config/options.h"

namespace heed {

// What the account may be, and whose bound that is: "the memory cgroup", "the machine", "--max_memory".
struct MemoryBound {
  std::int64_t bytes = 0;
  std::string from;
};

// Threads that there will be; of them those that tokenise, and those that decode.
struct ThreadCounts {
  int all = 0;
  int text = 0;
  int workers = 0;
  int helpers = 0;
};

struct MemoryPlan {
  MemoryBound bound;
  std::int64_t models = 0;
  std::int64_t work = 0;
  std::int64_t queue = 0;
  std::int64_t transport = 0;
  std::int64_t unread = 0;
  std::int64_t other = 0;

  std::int64_t sum() const;
  std::int64_t spare() const { return bound.bytes - sum(); }
};

// What is left of a limit of the system: 15 of 16 parts of it. The rest is for what no process can count: page tables,
// the files' cache, other processes of the container.
std::int64_t WithinLimit(std::int64_t limit_bytes);

// Threads that may tokenise where their number is not given: all at it together take no more than an eighth of the
// account. At least 1.
int MostTextThreads(const ServerOptions& options, const MemoryBound& bound);

// What `other` is.
std::int64_t OtherBytes(const ServerOptions& options, const ThreadCounts& threads);

// What models may take while every other part has at least its least. INVALID_ARGUMENT where nothing is left: one line
// with the sum, its parts and the bound.
absl::StatusOr<std::int64_t> RoomForModels(const ServerOptions& options, const MemoryBound& bound,
                                           const ThreadCounts& threads);

// The account once `models` is known. The same errors.
absl::StatusOr<MemoryPlan> PlanMemoryParts(const ServerOptions& options, const MemoryBound& bound,
                                           const ThreadCounts& threads, std::int64_t models);

// Writes the parts into the options that bound them.
void ApplyMemoryPlan(const MemoryPlan& plan, ServerOptions* options);

}  // namespace heed
