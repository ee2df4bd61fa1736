#include "server/lifecycle/memory_limit.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/scheduler/cores.h"

namespace heed {
namespace {

std::string ReadSmallFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream contents;
  contents << file.rdbuf();
  return contents.str();
}

}  // namespace

std::int64_t LimitFromFile(absl::string_view contents) {
  std::int64_t bytes = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(contents), &bytes) || bytes <= 0) return kNoMemoryLimit;
  return std::min(bytes, kNoMemoryLimit);
}

std::int64_t MachineMemory(absl::string_view meminfo) {
  for (absl::string_view line : absl::StrSplit(meminfo, '\n')) {
    std::int64_t kibibytes = 0;
    if (!absl::ConsumePrefix(&line, "MemTotal:") || !absl::ConsumeSuffix(&line, " kB")) continue;
    if (!absl::SimpleAtoi(line, &kibibytes) || kibibytes <= 0) break;
    return std::min(kibibytes, kNoMemoryLimit / 1024) * 1024;
  }
  return kNoMemoryLimit;
}

MemoryBound FindMemoryBound(std::int64_t max_memory, const std::string& root) {
  if (max_memory > 0) return {max_memory, "--max_memory"};
  std::int64_t limit = MachineMemory(ReadSmallFile(root + "/proc/meminfo"));
  std::string from = "the memory of this machine";
  for (const std::string& folder : CgroupFolders(ReadSmallFile(root + "/proc/self/cgroup"),
                                                 ReadSmallFile(root + "/proc/self/mountinfo"), "memory")) {
    // memory.high does not end a process, but from there on it is made to wait.
    for (const char* file : {"memory.max", "memory.high", "memory.limit_in_bytes"}) {
      const std::int64_t group = LimitFromFile(ReadSmallFile(absl::StrCat(root, folder, "/", file)));
      if (group >= limit) continue;
      limit = group;
      from = absl::StrCat(folder, "/", file);
    }
  }
  return {WithinLimit(limit), absl::StrCat("15/16 of ", from)};
}

}  // namespace heed
