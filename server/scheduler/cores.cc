#include "server/scheduler/cores.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/scheduler/scheduler.h"

namespace heed {
namespace {

std::string ReadSmallFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream contents;
  contents << file.rdbuf();
  return contents.str();
}

double Quota(absl::string_view quota_us, absl::string_view period_us) {
  double quota = 0;
  double period = 0;
  if (!absl::SimpleAtod(absl::StripAsciiWhitespace(quota_us), &quota) ||
      !absl::SimpleAtod(absl::StripAsciiWhitespace(period_us), &period) || !(quota > 0) || !(period > 0)) {
    return kNoQuota;
  }
  return std::min(kNoQuota, quota / period);
}

// One line of mountinfo, as far as it matters here.
struct CgroupMount {
  bool v2 = false;
  std::string root;   // the group that is mounted
  std::string point;  // where
};

std::vector<CgroupMount> MountsOf(absl::string_view mountinfo, absl::string_view controller) {
  std::vector<CgroupMount> mounts;
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n')) {
    const std::vector<absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    if (halves.size() != 2) continue;
    const std::vector<absl::string_view> left = absl::StrSplit(halves[0], ' ');
    const std::vector<absl::string_view> right = absl::StrSplit(halves[1], ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    const bool v2 = right[0] == "cgroup2";
    const std::vector<absl::string_view> options = absl::StrSplit(right[2], ',');
    const bool v1 = right[0] == "cgroup" && std::count(options.begin(), options.end(), controller) > 0;
    if (v2 || v1) mounts.push_back({v2, std::string(left[3]), std::string(left[4])});
  }
  return mounts;
}

// This process' group, "/a/b", in v2's hierarchy or in that of a v1 controller; empty where there is none.
std::string OwnGroup(absl::string_view cgroup, absl::string_view controller, bool v2) {
  for (absl::string_view line : absl::StrSplit(cgroup, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const std::vector<absl::string_view> controllers = absl::StrSplit(fields[1], ',');
    const bool v1 = std::count(controllers.begin(), controllers.end(), controller) > 0;
    if (v2 ? fields[0] == "0" && fields[1].empty() : v1) return std::string(fields[2]);
  }
  return "";
}

}  // namespace

double QuotaFromCpuMax(absl::string_view contents) {
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::StripAsciiWhitespace(contents), ' ', absl::SkipEmpty());
  return fields.size() == 2 ? Quota(fields[0], fields[1]) : kNoQuota;
}

double QuotaFromCfs(absl::string_view quota_us, absl::string_view period_us) { return Quota(quota_us, period_us); }

std::vector<std::string> CgroupFolders(absl::string_view cgroup, absl::string_view mountinfo,
                                       absl::string_view controller) {
  std::vector<std::string> folders;
  for (const CgroupMount& mount : MountsOf(mountinfo, controller)) {
    const std::string own = OwnGroup(cgroup, controller, mount.v2);
    absl::string_view group = own;
    // A container may see its group under the host's name while only that group is mounted; then the mount is the
    // group.
    if (mount.root != "/" && !absl::ConsumePrefix(&group, mount.root)) group = "";
    if (!absl::StartsWith(group, "/") || absl::StrContains(group, "..")) group = "";
    for (;;) {
      absl::ConsumeSuffix(&group, "/");
      std::string folder = absl::StrCat(mount.point, group);
      if (std::find(folders.begin(), folders.end(), folder) == folders.end()) folders.push_back(std::move(folder));
      if (group.empty()) break;
      group = group.substr(0, group.rfind('/'));
    }
  }
  return folders;
}

double CgroupQuota(const std::string& root) {
  double quota = kNoQuota;
  for (const std::string& folder :
       CgroupFolders(ReadSmallFile(root + "/proc/self/cgroup"), ReadSmallFile(root + "/proc/self/mountinfo"))) {
    const std::string path = root + folder;
    quota = std::min(quota, QuotaFromCpuMax(ReadSmallFile(path + "/cpu.max")));
    quota = std::min(
        quota, QuotaFromCfs(ReadSmallFile(path + "/cpu.cfs_quota_us"), ReadSmallFile(path + "/cpu.cfs_period_us")));
  }
  return quota;
}

int CoresFrom(int affinity, double quota) {
  return std::max(1, static_cast<int>(std::min(static_cast<double>(affinity), quota)));
}

int AffinityCores() {
  // Machines with more processors than a cpu_set_t holds answer EINVAL until the set is large enough.
  int affinity = 1;
  for (int cpus = CPU_SETSIZE; cpus <= (1 << 20); cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    const std::size_t size = CPU_ALLOC_SIZE(cpus);
    const bool got = set != nullptr && sched_getaffinity(0, size, set) == 0;
    if (got) affinity = CPU_COUNT_S(size, set);
    CPU_FREE(set);
    if (got) break;
  }
  return affinity;
}

int GrantedCores() { return CoresFrom(AffinityCores(), CgroupQuota("")); }

}  // namespace heed
