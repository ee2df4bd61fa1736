// A bound on a server's memory from outside of it, as a container has one: a memory cgroup, version 1 or 2, which takes
// root to make.
//
//   MemoryGroup group(256 << 20);
//   if (!group.made()) HEED_SKIP("needs root and a memory cgroup");
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

  // Whether there is one.
  bool made() const { return !folder_.empty(); }
  // A program that is `program` within the bound.
  std::string Program(const std::string& program) const;
  // Processes that the kernel has ended for memory here.
  int Kills() const;

 private:
  std::string folder_;  // of the group; empty: there is none
  TempFolder scripts_;
};

}  // namespace heed
