#include "tests/integration/memory_group.h"

#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace heed {
namespace {

struct Layout {
  const char* root;
  const char* bound;  // the file that takes it
};
constexpr std::array<Layout, 2> kLayouts = {{{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},  // version 1
                                             {"/sys/fs/cgroup", "memory.max"}}};

}  // namespace

MemoryGroup::MemoryGroup(std::int64_t bytes) {
  for (const Layout& layout : kLayouts) {
    const std::string folder = absl::StrCat(layout.root, "/heed-test-", getpid());
    std::error_code error;
    if (!std::filesystem::exists(absl::StrCat(layout.root, "/cgroup.procs")) ||
        !std::filesystem::create_directory(folder, error)) {
      continue;
    }
    std::ofstream bound(absl::StrCat(folder, "/", layout.bound));
    if (bound << bytes << std::flush) {
      folder_ = folder;
      return;
    }
    rmdir(folder.c_str());
  }
}

MemoryGroup::~MemoryGroup() {
  if (!folder_.empty()) rmdir(folder_.c_str());
}

std::string MemoryGroup::Program(const std::string& program) const {
  std::string script = scripts_.path() + "/bounded";
  std::ofstream(script) << "#!/bin/sh\necho $$ > " << folder_ << "/cgroup.procs && exec '" << program << "' \"$@\"\n";
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  return script;
}

int MemoryGroup::Kills() const {
  for (const char* file : {"/memory.oom_control", "/memory.events"}) {
    std::ifstream events(folder_ + file);
    std::string name;
    for (int count = 0; !folder_.empty() && events >> name >> count;) {
      if (name == "oom_kill") return count;
    }
  }
  return 0;
}

}  // namespace heed
