#include "server/metrics/process_stats.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace heed {
namespace {

// Fields of /proc/self/stat that follow the program's name, in proc(5)'s numbering less 3.
constexpr std::size_t kThreads = 17, kStartTicks = 19, kVirtualBytes = 20, kResidentPages = 21;

std::string Read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The name is in brackets and may hold anything, brackets and spaces too.
std::vector<std::string> StatFields(const std::string& proc) {
  const std::string stat = Read(absl::StrCat(proc, "/self/stat"));
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return {};
  return absl::StrSplit(stat.substr(name_end + 1), absl::ByAnyChar(" \n"), absl::SkipEmpty());
}

std::optional<double> Field(const std::vector<std::string>& fields, std::size_t index) {
  std::int64_t value = 0;
  if (index >= fields.size() || !absl::SimpleAtoi(fields[index], &value) || value < 0) return std::nullopt;
  return static_cast<double>(value);
}

// When the system started, in seconds since 1970.
std::optional<double> BootTime(const std::string& proc) {
  for (const absl::string_view line : absl::StrSplit(Read(absl::StrCat(proc, "/stat")), '\n')) {
    if (!absl::StartsWith(line, "btime ")) continue;
    if (std::int64_t seconds = 0; absl::SimpleAtoi(line.substr(6), &seconds)) return static_cast<double>(seconds);
  }
  return std::nullopt;
}

std::optional<double> OpenFiles(const std::string& proc) {
  DIR* const folder = opendir(absl::StrCat(proc, "/self/fd").c_str());
  if (folder == nullptr) return std::nullopt;
  int count = -1;  // without the one that reads the folder
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.' ? 1 : 0;
  closedir(folder);
  return count;
}

std::optional<double> CpuSeconds() {
  timespec used = {};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0) return std::nullopt;
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

// RLIM_INFINITY is a large number here, as other clients show it.
std::optional<double> MostFiles() {
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return std::nullopt;
  return static_cast<double>(files.rlim_cur);
}

}  // namespace

std::vector<ProcessStat> ReadProcessStats(const std::string& proc) {
  std::vector<ProcessStat> stats;
  const auto add = [&](const char* name, const char* help, bool counter, std::optional<double> value) {
    if (value.has_value()) stats.push_back({name, help, counter, *value});
  };
  const std::vector<std::string> fields = StatFields(proc);
  add("process_cpu_seconds_total", "CPU time that the process has used, in user and system mode.", true, CpuSeconds());
  std::optional<double> resident = Field(fields, kResidentPages);
  if (resident.has_value()) *resident *= static_cast<double>(sysconf(_SC_PAGESIZE));
  add("process_resident_memory_bytes", "Memory of the process that is in RAM.", false, resident);
  add("process_virtual_memory_bytes", "Address space of the process.", false, Field(fields, kVirtualBytes));
  add("process_open_fds", "File descriptors that are open, connections among them.", false, OpenFiles(proc));
  add("process_max_fds", "File descriptors that may be open.", false, MostFiles());
  add("process_threads", "Threads of the process.", false, Field(fields, kThreads));
  std::optional<double> start = Field(fields, kStartTicks);
  const std::optional<double> boot = BootTime(proc);
  if (start.has_value() && boot.has_value()) {
    add("process_start_time_seconds", "When the process started, in seconds since 1970.", false,
        *boot + *start / static_cast<double>(sysconf(_SC_CLK_TCK)));
  }
  return stats;
}

}  // namespace heed
