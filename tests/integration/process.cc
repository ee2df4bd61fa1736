#include "tests/integration/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

extern char** environ;

namespace heed {
namespace {

constexpr absl::Duration kAskAgain = absl::Milliseconds(5);
constexpr int kLookAgainMs = 5;  // whether standard error is to be read again

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::abort();
}

std::vector<std::string> Environment(const ProcessOptions& options) {
  std::vector<std::string> all;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!absl::StartsWith(*variable, "HEED_") && !absl::StartsWith(*variable, "ONEDNN_")) all.emplace_back(*variable);
  }
  for (const auto& [name, value] : options.environment) all.push_back(absl::StrCat(name, "=", value));
  return all;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// A file that reads as `input`, already removed.
int InputFile(const std::string& input) {
  std::FILE* file = std::tmpfile();
  if (file == nullptr || std::fwrite(input.data(), 1, input.size(), file) != input.size()) Die("standard input");
  std::rewind(file);
  const int descriptor = fcntl(fileno(file), F_DUPFD_CLOEXEC, 3);
  std::fclose(file);
  return descriptor;
}

}  // namespace

std::string ServerProgram() { return HEED_SERVER_PROGRAM; }
std::string ClientProgram() { return HEED_CLIENT_PROGRAM; }

Process::Process(const std::string& program, const std::vector<std::string>& arguments, const ProcessOptions& options) {
  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = Environment(options);
  const std::vector<char*> argv = Pointers(words), envp = Pointers(variables);
  const int in = InputFile(options.input);
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) Die("pipe2");
  pid_ = fork();
  if (pid_ < 0) Die("fork");
  if (pid_ == 0) {
    // Between fork and exec, only what a signal handler may call.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(in, STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    for (const auto& [resource, value] : options.limits) {
      const rlimit limit = {value, value};
      setrlimit(static_cast<__rlimit_resource>(resource), &limit);
    }
    for (const int descriptor : options.closed) close(descriptor);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(in);
  close(out[1]);
  close(err[1]);
  reader_ = std::thread([this, out = out[0], err = err[0]] { Read(out, err); });
}

Process::~Process() {
  {
    absl::MutexLock lock(&mu_);
    if (!Poll()) {
      kill(pid_, SIGKILL);
      int status = 0;
      waitpid(pid_, &status, 0);
    }
  }
  reader_.join();
}

void Process::Read(int out, int err) {
  int open[2] = {out, err};
  char buffer[65536];
  while (open[0] >= 0 || open[1] >= 0) {
    const bool unread = errors_unread_;
    pollfd streams[2] = {{open[0], POLLIN, 0}, {unread ? -1 : open[1], POLLIN, 0}};
    if (poll(streams, 2, unread ? kLookAgainMs : -1) < 0) continue;
    for (int i = 0; i < 2; ++i) {
      if (streams[i].fd < 0 || streams[i].revents == 0) continue;
      const ssize_t size = read(open[i], buffer, sizeof buffer);
      if (size <= 0) {
        close(open[i]);
        open[i] = -1;
        continue;
      }
      absl::MutexLock lock(&mu_);
      (i == 0 ? out_ : err_).append(buffer, static_cast<std::size_t>(size));
    }
  }
  absl::MutexLock lock(&mu_);
  closed_ = true;
}

void Process::Signal(int number) const { kill(pid_, number); }

bool Process::Poll() {
  int status = 0;
  if (!status_.has_value() && waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  return status_.has_value();
}

bool Process::running() {
  absl::MutexLock lock(&mu_);
  return !Poll();
}

int Process::Wait() {
  if (!WaitUntil([this] { return !running(); })) {
    ADD_FAILURE() << "process " << pid_ << " runs after " << absl::FormatDuration(kLongest) << "; it wrote\n"
                  << error();
    kill(pid_, SIGKILL);
    return -1;
  }
  ReadErrors();
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&closed_));
  return WIFEXITED(*status_) ? WEXITSTATUS(*status_) : 128 + WTERMSIG(*status_);
}

std::string Process::output() const {
  absl::MutexLock lock(&mu_);
  return out_;
}

std::string Process::error() const {
  absl::MutexLock lock(&mu_);
  return err_;
}

std::optional<std::string> Process::WaitForErrorLine(const std::function<bool(const std::string&)>& wanted) const {
  const absl::Time end = absl::Now() + kLongest;
  std::size_t at = 0;  // first byte not looked at
  absl::MutexLock lock(&mu_);
  const auto more = [this, &at]()
                        ABSL_NO_THREAD_SAFETY_ANALYSIS { return closed_ || err_.find('\n', at) != std::string::npos; };
  while (mu_.AwaitWithDeadline(absl::Condition(&more), end)) {
    const std::size_t newline = err_.find('\n', at);
    if (newline == std::string::npos) return std::nullopt;
    std::string line = err_.substr(at, newline - at);
    if (wanted(line)) return line;
    at = newline + 1;
  }
  return std::nullopt;
}

Finished RunProgram(const std::string& program, const std::vector<std::string>& arguments,
                    const ProcessOptions& options) {
  Process process(program, arguments, options);
  Finished finished;
  finished.code = process.Wait();
  finished.out = process.output();
  finished.err = process.error();
  return finished;
}

bool WaitUntil(const std::function<bool()>& done) {
  const absl::Time end = absl::Now() + kLongest;
  while (!done()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(kAskAgain);
  }
  return true;
}

}  // namespace heed
