#include "server/config/memory_plan.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "engine/base/saturating.h"

namespace heed {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

// Resident before any model: the program and its libraries, of which oneDNN, ICU and gRPC are the largest; the
// allocator's holes.
constexpr std::int64_t kProcessBytes = 64 * kMiB;
constexpr std::int64_t kThreadBytes = kMiB / 2;  // touched of a stack, and of what an arena keeps for the thread
constexpr std::int64_t kTokenBytes = 160;        // that tokenising takes per source token of a request

// What the requests take that one text thread has begun: a third more than one of the longest, of each of the two
// priorities.
std::int64_t TextBytes(const ServerOptions& options) {
  const std::int64_t tokens = SaturatingMultiply(options.admission.max_segments, options.engine.max_source_tokens);
  const std::int64_t longest = SaturatingAdd(SaturatingMultiply(tokens, kTokenBytes), options.max_message_bytes);
  return SaturatingMultiply(longest / 3, 2 * 4);
}

// A part that a flag bounds.
struct Part {
  const char* name;
  const char* flag;
  std::int64_t MemoryPlan::*bytes;
  std::int64_t asked;
  std::int64_t least;  // as much where it was given
};

std::array<Part, 4> PartsOf(const ServerOptions& options) {
  // Any reply that a client may ask for must fit.
  const std::int64_t reply = std::max(16 * kMiB, options.admission.max_reply_bytes);
  std::array<Part, 4> parts = {{
      {"work", "max_request_bytes", &MemoryPlan::work, options.scheduler.max_request_bytes, 64 * kMiB},
      {"queue", "max_queue_bytes", &MemoryPlan::queue, options.scheduler.max_queue_bytes, 16 * kMiB},
      {"transport", "max_transport_bytes", &MemoryPlan::transport, options.max_transport_bytes, 32 * kMiB},
      {"unread", "max_unread_bytes", &MemoryPlan::unread, options.max_unread_bytes, reply},
  }};
  for (Part& part : parts) {
    part.least = options.given.contains(part.flag) ? part.asked : std::min(part.asked, part.least);
  }
  return parts;
}

// Shares `room`, which is at least the sum of the least, out: what is asked where there is enough, else each part the
// same share of it, but its least at least.
void Share(std::array<Part, 4> parts, std::int64_t room, MemoryPlan* plan) {
  for (const Part& part : parts) plan->*part.bytes = part.least;
  // Parts whose share would be below their least take that, and the others share what is left of the room.
  std::array<bool, 4> fixed = {};
  for (bool changed = true; changed;) {
    changed = false;
    std::int64_t left = room, asked = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (fixed[i] || parts[i].asked == parts[i].least) {
        left -= parts[i].least;
      } else {
        asked = SaturatingAdd(asked, parts[i].asked);
      }
    }
    const double factor = std::min(1.0, asked == 0 ? 1 : static_cast<double>(left) / static_cast<double>(asked));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (fixed[i] || parts[i].asked == parts[i].least) continue;
      // Whole 64 KiB: a double is not exact.
      constexpr std::int64_t kGrain = 64 << 10;
      const auto share = static_cast<std::int64_t>(static_cast<double>(parts[i].asked) * factor);
      plan->*parts[i].bytes = factor == 1 ? parts[i].asked : share / kGrain * kGrain;
      if (plan->*parts[i].bytes >= parts[i].least) continue;
      plan->*parts[i].bytes = parts[i].least;
      fixed[i] = changed = true;
    }
  }
}

absl::Status TooMuch(const std::array<Part, 4>& parts, const MemoryBound& bound, std::int64_t other,
                     std::int64_t models) {
  std::int64_t sum = SaturatingAdd(models, other);
  std::string list;
  for (const Part& part : parts) {
    sum = SaturatingAdd(sum, part.least);
    absl::StrAppend(&list, ", ", part.name, part.asked == part.least ? " " : " at least ", part.least, " (--",
                    part.flag, ")");
  }
  return absl::InvalidArgumentError(absl::StrCat("memory: ", sum, " bytes are needed, more than the ", bound.bytes,
                                                 " of ", bound.from, ": models ", models, list, ", other ", other));
}

}  // namespace

std::int64_t MemoryPlan::sum() const { return SaturatingAdd(models, work, queue, transport, unread, other); }

std::int64_t WithinLimit(std::int64_t limit_bytes) { return limit_bytes - limit_bytes / 16; }

int MostTextThreads(const ServerOptions& options, const MemoryBound& bound) {
  return static_cast<int>(std::clamp<std::int64_t>(bound.bytes / 8 / TextBytes(options), 1, 1024));
}

std::int64_t OtherBytes(const ServerOptions& options, const ThreadCounts& threads) {
  return SaturatingAdd(kProcessBytes, SaturatingMultiply(threads.all, kThreadBytes),
                       SaturatingMultiply(threads.text, TextBytes(options)));
}

absl::StatusOr<std::int64_t> RoomForModels(const ServerOptions& options, const MemoryBound& bound,
                                           const ThreadCounts& threads) {
  const std::array<Part, 4> parts = PartsOf(options);
  const std::int64_t other = OtherBytes(options, threads);
  std::int64_t sum = other;
  for (const Part& part : parts) sum = SaturatingAdd(sum, part.least);
  if (sum >= bound.bytes) return TooMuch(parts, bound, other, 0);
  return bound.bytes - sum;
}

absl::StatusOr<MemoryPlan> PlanMemoryParts(const ServerOptions& options, const MemoryBound& bound,
                                           const ThreadCounts& threads, std::int64_t models) {
  absl::StatusOr<std::int64_t> room = RoomForModels(options, bound, threads);
  if (!room.ok()) return room.status();
  MemoryPlan plan{.bound = bound, .models = models, .other = OtherBytes(options, threads)};
  if (models > *room) return TooMuch(PartsOf(options), bound, plan.other, models);
  Share(PartsOf(options), bound.bytes - plan.other - models, &plan);
  return plan;
}

void ApplyMemoryPlan(const MemoryPlan& plan, ServerOptions* options) {
  options->scheduler.max_request_bytes = plan.work;
  options->scheduler.max_queue_bytes = plan.queue;
  options->max_transport_bytes = plan.transport;
  options->max_unread_bytes = plan.unread;
}

}  // namespace heed
