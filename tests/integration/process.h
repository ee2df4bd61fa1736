// Real processes for the integration tests: heed-server and heed as people start them.
//
//   Process server(ServerProgram(), {"--models=m"});
//   ASSERT_TRUE(server.WaitForErrorLine([](const std::string& line) { return line.find("serving") != line.npos; }));
//   server.Signal(SIGTERM);
//   EXPECT_EQ(server.Wait(), 0);
//
// Output is read all the time, so no process waits for the test to read it, unless the test says so. A process dies
// with the thread that started it, so start them on the test's main thread. Otherwise thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace heed {

// Where the build put them.
std::string ServerProgram();
std::string ClientProgram();

// More than anything here takes; a wait this long is a failure.
constexpr absl::Duration kLongest = absl::Seconds(60);

struct ProcessOptions {
  std::map<std::string, std::string> environment;  // on top of the test's own, without its HEED_* and ONEDNN_*
  std::string input;                               // standard input
  std::map<int, std::uint64_t> limits;             // RLIMIT_*, soft and hard
  std::vector<int> closed;                         // of the descriptors 0 to 2
};

class Process {
 public:
  Process(const std::string& program, const std::vector<std::string>& arguments, const ProcessOptions& options = {});
  // Kills it if it still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  int pid() const { return pid_; }
  void Signal(int number) const;
  // The exit code, or 128 + the number of the signal that ended it. Waits at most kLongest: then it fails the test,
  // kills the process and returns -1.
  int Wait();
  bool running();

  // What it has written so far; all of it after Wait.
  std::string output() const;
  std::string error() const;
  // From now on nobody reads standard error, until ReadErrors or the end of the process.
  void LeaveErrorsUnread() { errors_unread_ = true; }
  void ReadErrors() { errors_unread_ = false; }

  // Waits for a whole line of standard error that `wanted` accepts. Nothing when the process ends without one, or after
  // kLongest.
  std::optional<std::string> WaitForErrorLine(const std::function<bool(const std::string&)>& wanted) const;

 private:
  void Read(int out, int err);
  // Reaps without blocking; true when it has ended.
  bool Poll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  int pid_ = -1;
  std::atomic<bool> errors_unread_{false};
  std::thread reader_;
  mutable absl::Mutex mu_;
  std::optional<int> status_ ABSL_GUARDED_BY(mu_);  // as waitpid gives it
  std::string out_ ABSL_GUARDED_BY(mu_);
  std::string err_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;  // both streams ended
};

struct Finished {
  int code = -1;
  std::string out, err;
};

// Runs a program to its end.
Finished RunProgram(const std::string& program, const std::vector<std::string>& arguments,
                    const ProcessOptions& options = {});

// Asks again every few milliseconds until `done` says yes, at most kLongest; whether it did. For states that can only
// be asked for (a metric of another process).
bool WaitUntil(const std::function<bool()>& done);

}  // namespace heed
