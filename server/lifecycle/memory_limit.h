// How much memory the system lets this process have: the smallest of the machine's memory and the limits of the memory
// control groups that it is in, v1 and v2, their ancestors included.
//
// Plain functions, thread-safe. Files that are missing or make no sense limit nothing: a guess must not stop a start.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "server/config/memory_plan.h"

namespace heed {

// No limit.
inline constexpr std::int64_t kNoMemoryLimit = std::int64_t{1} << 60;

// A group's file: a number of bytes, or "max"; v1 writes a huge number where there is none.
std::int64_t LimitFromFile(absl::string_view contents);

// MemTotal of /proc/meminfo.
std::int64_t MachineMemory(absl::string_view meminfo);

// The account that `max_memory` gives, or where that is 0 the system's limit less its reserve (WithinLimit), found
// under `root` ("" is the machine's; tests give a tree of fixtures).
MemoryBound FindMemoryBound(std::int64_t max_memory, const std::string& root);

}  // namespace heed
