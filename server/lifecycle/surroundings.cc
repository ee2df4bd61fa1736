#include "server/lifecycle/surroundings.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/lifecycle/log.h"

namespace heed {
namespace {

std::terminate_handler g_default_terminate = nullptr;

[[noreturn]] void EndWithLine(const char* line) {
  SayLast(line);
  std::_Exit(1);
}

[[noreturn]] void Terminate() {
  try {
    if (const std::exception_ptr exception = std::current_exception()) std::rethrow_exception(exception);
  } catch (const std::bad_alloc&) {
    EndWithLine("heed-server: the system gives no more memory (ulimit -v, or the container's limit of memory)");
  } catch (const std::system_error& error) {
    char line[256];
    std::snprintf(line, sizeof line, "heed-server: the system gives no more threads, files or memory: %s",
                  error.code().message().c_str());
    EndWithLine(line);
  } catch (...) {
  }
  g_default_terminate();  // says what the exception was
  std::abort();
}

bool HasAddressSpace(std::int64_t bytes) {
  if (bytes <= 0) return true;
  void* const space = mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (space == MAP_FAILED) return false;
  munmap(space, static_cast<std::size_t>(bytes));
  return true;
}

absl::Status TooLittle(const std::string& given, const std::string& needed, const char* where) {
  return absl::ResourceExhaustedError(
      absl::StrCat("the system gives this process ", given, "; it needs at least ", needed, " (", where, ")"));
}

}  // namespace

absl::Status CheckSystemGives(const SystemNeeds& needs) {
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < static_cast<rlim_t>(needs.files)) {
    return TooLittle(absl::StrCat(files.rlim_cur, " open files"), absl::StrCat(needs.files), "ulimit -n");
  }
  absl::Notification end;
  std::vector<std::thread> threads;
  bool space = true;
  try {
    threads.reserve(static_cast<std::size_t>(needs.threads));
    for (int i = 0; i < needs.threads; ++i) threads.emplace_back([&end] { end.WaitForNotification(); });
    space = HasAddressSpace(needs.address_bytes);
  } catch (const std::exception&) {
    // Fewer than asked for; counted below.
  }
  end.Notify();
  for (std::thread& thread : threads) thread.join();
  if (static_cast<int>(threads.size()) < needs.threads) {
    return TooLittle(absl::StrCat(threads.size(), " more threads"), absl::StrCat(needs.threads),
                     "ulimit -u or -v, or the container's limit of processes");
  }
  if (!space) {
    return TooLittle("too little address space", absl::StrCat(needs.address_bytes, " bytes more"), "ulimit -v");
  }
  return absl::OkStatus();
}

void ExplainTermination() {
  if (g_default_terminate == nullptr) g_default_terminate = std::set_terminate(Terminate);
}

}  // namespace heed
