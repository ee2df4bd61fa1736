// How many cores this process may really use: its affinity, cut down by the CPU quotas of the control groups that it is
// in. A container's quota does not show in the number of processors, and one thread too many is throttled with the
// rest.
//
// Plain functions, thread-safe. Files that are missing or make no sense grant everything: a guess must not stop a
// start.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace heed {

// No quota.
inline constexpr double kNoQuota = 1e9;

// cgroup v2's cpu.max, "200000 100000" or "max 100000": cores, or kNoQuota.
double QuotaFromCpuMax(absl::string_view contents);
// cgroup v1's cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us.
double QuotaFromCfs(absl::string_view quota_us, absl::string_view period_us);

// The folders whose limits count, from /proc/self/cgroup and /proc/self/mountinfo: this process' group and its
// ancestors up to the mount, of v2 and of a v1 controller. Without duplicates.
std::vector<std::string> CgroupFolders(absl::string_view cgroup, absl::string_view mountinfo,
                                       absl::string_view controller = "cpu");

// The smallest quota found under `root` ("" is the machine's; tests give a tree of fixtures), or kNoQuota.
double CgroupQuota(const std::string& root);

// Cores that the calling thread's affinity mask lets it use.
int AffinityCores();

// Whole cores, at least 1. A fraction is dropped: a thread that is stopped half of the time delays its rows every step.
int CoresFrom(int affinity, double quota);
// Those that affinity and quota grant this process.
int GrantedCores();

}  // namespace heed
