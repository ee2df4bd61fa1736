// A bound on a server's memory from outside of it, as a container has one: a memory cgroup, version 1 or 2, or, where
// none can be made, a limit on its data (RLIMIT_DATA), over which allocation fails.
//
//   MemoryGroup group(256 << 20);
//   RunningServer server(models, {}, {}, group.Program(ServerProgram()));
//   ...
//   EXPECT_EQ(group.Kills(), 0);
//
// Not thread-safe. Outlives the processes in it.
#pragma once

#include <cstdint>
#include <string>

#include "tests/support/bundle_folder.h"

namespace heed {

class MemoryGroup {
 public:
  explicit MemoryGroup(std::int64_t bytes);
  // Removes the group.
  ~MemoryGroup();
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;

  // A program that is `program` within the bound.
  std::string Program(const std::string& program) const;
  // Processes that the kernel has ended for memory here.
  int Kills() const;
  // "cgroup" or "RLIMIT_DATA".
  std::string Describe() const { return folder_.empty() ? "RLIMIT_DATA" : "cgroup"; }

 private:
  const std::int64_t bytes_;
  std::string folder_;  // of the group; empty: there is none
  TempFolder scripts_;
};

}  // namespace heed
