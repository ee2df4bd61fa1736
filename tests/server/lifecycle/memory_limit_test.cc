// Limits of control groups and the machine, read from trees of fixtures.
#include "server/lifecycle/memory_limit.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/bundle_folder.h"

namespace heed {
namespace {

constexpr std::int64_t kMiB = 1 << 20;

class MemoryLimit : public ::testing::Test {
 protected:
  MemoryLimit() { Write("/proc/meminfo", "MemTotal:        2097152 kB\nMemFree:          1 kB\n"); }

  void Write(const std::string& path, const std::string& contents) {
    std::filesystem::create_directories(std::filesystem::path(temp_.path() + path).parent_path());
    std::ofstream(temp_.path() + path) << contents;
  }
  std::int64_t Limit() { return FindMemoryBound(0, temp_.path()).bytes / 15 * 16; }
  std::string From() { return FindMemoryBound(0, temp_.path()).from; }

  TempFolder temp_;
};

TEST_F(MemoryLimit, IsTheMachinesMemoryWithoutAGroup) {
  EXPECT_EQ(Limit(), 2048 * kMiB);
  EXPECT_EQ(From(), "15/16 of the memory of this machine");
}

TEST_F(MemoryLimit, IsTheSmallestOfTheGroupAndItsAncestorsInV2) {
  Write("/proc/self/cgroup", "0::/kube/pod7\n");
  Write("/proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  Write("/sys/fs/cgroup/kube/pod7/memory.max", "max\n");
  EXPECT_EQ(Limit(), 2048 * kMiB);
  Write("/sys/fs/cgroup/kube/memory.max", "1073741824\n");
  EXPECT_EQ(Limit(), 1024 * kMiB);
  EXPECT_EQ(From(), "15/16 of /sys/fs/cgroup/kube/memory.max");
  Write("/sys/fs/cgroup/kube/pod7/memory.high", "536870912\n");
  EXPECT_EQ(Limit(), 512 * kMiB);
}

TEST_F(MemoryLimit, IsThatOfTheMemoryControllerInV1) {
  Write("/proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/other\n");
  Write("/proc/self/mountinfo",
        "32 31 0:29 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
  Write("/sys/fs/cgroup/cpu/other/memory.limit_in_bytes", "1048576\n");           // not memory's hierarchy
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");  // none
  EXPECT_EQ(Limit(), 2048 * kMiB);
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "805306368\n");
  EXPECT_EQ(Limit(), 768 * kMiB);
}

TEST_F(MemoryLimit, NonsenseLimitsNothing) {
  for (const char* contents : {"", "max", "-1", "0", "1e9", "99999999999999999999"}) {
    EXPECT_EQ(LimitFromFile(contents), kNoMemoryLimit) << contents;
  }
  for (const char* meminfo : {"", "MemTotal:", "MemTotal: x kB", "MemTotal: -5 kB\n"}) {
    EXPECT_EQ(MachineMemory(meminfo), kNoMemoryLimit) << meminfo;
  }
}

TEST_F(MemoryLimit, TheFlagWins) {
  const MemoryBound bound = FindMemoryBound(5, temp_.path());
  EXPECT_EQ(bound.bytes, 5);
  EXPECT_EQ(bound.from, "--max_memory");
}

}  // namespace
}  // namespace heed
