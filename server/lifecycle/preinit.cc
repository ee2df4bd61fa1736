#include "server/lifecycle/preinit.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace heed {
namespace {

// GNU's runtime reads the first three, those of LLVM and Intel the others too.
constexpr const char* kVariables[] = {"OMP_PROC_BIND", "OMP_PLACES",    "GOMP_CPU_AFFINITY",
                                      "KMP_AFFINITY",  "KMP_HW_SUBSET", "KMP_PLACE_THREADS"};
bool g_removed[std::size(kVariables)];

// No library is initialised yet, sanitizers and the C library included: nothing here may call more than the system.
#define HEED_BEFORE_LIBRARIES __attribute__((no_sanitize("address", "thread", "undefined")))

HEED_BEFORE_LIBRARIES bool Sets(const char* entry, const char* name) {
  while (*name != '\0' && *entry == *name) {
    ++entry;
    ++name;
  }
  return *name == '\0' && *entry == '=';
}

// As ld.so itself drops variables: those behind move up.
HEED_BEFORE_LIBRARIES void RemovePinning(char** environment) {
  char** kept = environment;
  for (char** entry = environment; *entry != nullptr; ++entry) {
    bool pins = false;
    for (std::size_t i = 0; i < sizeof kVariables / sizeof kVariables[0]; ++i) {
      if (Sets(*entry, kVariables[i])) pins = g_removed[i] = true;
    }
    if (!pins) *kept++ = *entry;
  }
  *kept = nullptr;
}

HEED_BEFORE_LIBRARIES void OpenStandardDescriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    // The lowest number that is free is this one.
    if (syscall(SYS_fcntl, fd, F_GETFD) < 0) syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
  }
}

HEED_BEFORE_LIBRARIES void BeforeLibraries(int, char**, char** environment) {
  OpenStandardDescriptors();
  RemovePinning(environment);
}

#undef HEED_BEFORE_LIBRARIES

using Initializer = void (*)(int, char**, char**);
__attribute__((section(".preinit_array"), used)) const Initializer kBeforeLibraries = BeforeLibraries;

}  // namespace

std::string RemovedPinning() {
  std::string names;
  for (std::size_t i = 0; i < std::size(kVariables); ++i) {
    if (g_removed[i]) absl::StrAppend(&names, names.empty() ? "" : " ", kVariables[i]);
  }
  return names;
}

}  // namespace heed
