#include "server/scheduler/cores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "server/scheduler/scheduler.h"

namespace heed {
namespace {

using ::testing::ElementsAre;

// A little root file system.
class CgroupTree : public ::testing::Test {
 protected:
  CgroupTree() {
    std::string pattern = ::testing::TempDir() + "/cgroup-XXXXXX";
    root_ = mkdtemp(pattern.data());
  }
  ~CgroupTree() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& contents) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << contents;
  }

  std::string root_;
};

TEST(Quota, ReadsCpuMax) {
  EXPECT_EQ(QuotaFromCpuMax("200000 100000\n"), 2.0);
  EXPECT_EQ(QuotaFromCpuMax("50000 100000\n"), 0.5);
  EXPECT_EQ(QuotaFromCpuMax("max 100000\n"), kNoQuota);
  for (const char* nonsense : {"", "\n", "1", "a b", "100000 0", "-1 100000", "1 2 3", "nan 1"}) {
    EXPECT_EQ(QuotaFromCpuMax(nonsense), kNoQuota) << nonsense;
  }
}

TEST(Quota, ReadsCfsFiles) {
  EXPECT_EQ(QuotaFromCfs("350000\n", "100000\n"), 3.5);
  EXPECT_EQ(QuotaFromCfs("-1\n", "100000\n"), kNoQuota);
  EXPECT_EQ(QuotaFromCfs("", ""), kNoQuota);
}

TEST(Cores, AreWholeAndAtLeastOne) {
  EXPECT_EQ(CoresFrom(8, kNoQuota), 8);
  EXPECT_EQ(CoresFrom(8, 3.5), 3);
  EXPECT_EQ(CoresFrom(2, 3.5), 2);
  EXPECT_EQ(CoresFrom(8, 0.2), 1);
  EXPECT_GE(GrantedCores(), 1);
}

TEST(CgroupFolders, AreTheGroupAndItsAncestorsUpToTheMount) {
  EXPECT_THAT(
      CgroupFolders("0::/kube/pod7\n", "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw\n"),
      ElementsAre("/sys/fs/cgroup/kube/pod7", "/sys/fs/cgroup/kube", "/sys/fs/cgroup"));
}

TEST(CgroupFolders, AreTheMountWhereOnlyTheContainersGroupIsMounted) {
  const char* const mountinfo = "31 23 0:28 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
  EXPECT_THAT(CgroupFolders("0::/docker/abc\n", mountinfo), ElementsAre("/sys/fs/cgroup"));
  EXPECT_THAT(CgroupFolders("0::/docker/abc/sub\n", mountinfo), ElementsAre("/sys/fs/cgroup/sub", "/sys/fs/cgroup"));
  EXPECT_THAT(CgroupFolders("0::/docker/abcdef\n", mountinfo), ElementsAre("/sys/fs/cgroup"));
  EXPECT_THAT(CgroupFolders("0::/../outside\n", mountinfo), ElementsAre("/sys/fs/cgroup"));
}

TEST(CgroupFolders, SkipNonsense) {
  EXPECT_TRUE(CgroupFolders("", "").empty());
  EXPECT_TRUE(CgroupFolders("0::/a", "one two - three\n - \n 1 2 3 4 5 -\n").empty());
}

TEST_F(CgroupTree, SmallestQuotaOfTheAncestorsCountsInV2) {
  Write("/proc/self/cgroup", "0::/kube/pod7\n");
  Write("/proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  Write("/sys/fs/cgroup/kube/cpu.max", "150000 100000\n");
  Write("/sys/fs/cgroup/kube/pod7/cpu.max", "400000 100000\n");
  EXPECT_EQ(CgroupQuota(root_), 1.5);
}

TEST_F(CgroupTree, CpuControllerCountsInV1) {
  Write("/proc/self/cgroup", "5:memory:/other\n4:cpu,cpuacct:/docker/abc\n0::/docker/abc\n");
  Write("/proc/self/mountinfo",
        "32 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "33 31 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
  Write("/sys/fs/cgroup/memory/cpu.cfs_quota_us", "100000\n");
  Write("/sys/fs/cgroup/memory/cpu.cfs_period_us", "100000\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(CgroupQuota(root_), 3.0);
}

TEST_F(CgroupTree, NothingThereIsNoQuota) { EXPECT_EQ(CgroupQuota(root_), kNoQuota); }

}  // namespace
}  // namespace heed
