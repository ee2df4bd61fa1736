// A server in surroundings that are not as they should be: a log that nobody reads, signals, limits of the system,
// variables of other programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"

namespace heed {
namespace {

using ::testing::MatchesRegex;
using ::testing::StartsWith;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

// What a process' descriptor stands for: a path, or "socket:[...]"; empty where it is closed.
std::string Descriptor(const Process& process, int number) {
  std::error_code error;
  return std::filesystem::read_symlink(absl::StrCat("/proc/", process.pid(), "/fd/", number), error).string();
}

class Surroundings : public ::testing::Test {
 protected:
  Surroundings() { WriteLuong(models_.path(), "luong"); }

  std::vector<std::string> Arguments() const {
    return {"--models=" + models_.path(), "--address=127.0.0.1:0", "--metrics_address=127.0.0.1:0",
            "--log_format=json"};
  }

  // Log lines in JSON, then one for people; the latter.
  static std::string ExpectOneLine(const std::string& error) {
    std::vector<std::string> lines = absl::StrSplit(error, '\n', absl::SkipEmpty());
    if (lines.empty()) lines.emplace_back();
    for (std::size_t i = 0; i + 1 < lines.size(); ++i) EXPECT_FALSE(ParseLogLine(lines[i]).empty()) << lines[i];
    EXPECT_THAT(lines.back(), StartsWith("heed-server: "));
    return lines.back();
  }

  // What a server says that cannot start under these limits.
  std::string FailedStart(const std::map<int, std::uint64_t>& limits) {
    const Finished finished = RunProgram(ServerProgram(), Arguments(), {.limits = limits});
    EXPECT_EQ(finished.code, 1);
    return ExpectOneLine(finished.err);
  }

  TempFolder models_;
};

// The fault: after some 350 calls the pipe was full, every call hung, and SIGTERM too.
TEST_F(Surroundings, ALogThatNobodyReadsStopsNothing) {
  RunningServer server(models_.path(), {"--max_log_bytes=65536"});
  server.process().LeaveErrorsUnread();
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(server.caller().Translate(TranslateTexts({"안녕"})).ok()) << i;
  }
  EXPECT_EQ(server.caller().Health(), "SERVING");
  EXPECT_GT(server.Metric("heed_log_lines_dropped_total"), 0);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
}

TEST_F(Surroundings, ALogThatIsReadAgainSaysWhatIsMissing) {
  RunningServer server(models_.path(), {"--max_log_bytes=65536"});
  server.process().LeaveErrorsUnread();
  while (server.Metric("heed_log_lines_dropped_total") < 5) {
    ASSERT_TRUE(server.caller().Translate(TranslateTexts({"안녕"})).ok());
  }
  server.process().ReadErrors();
  const auto said = server.process().WaitForErrorLine(
      [](const std::string& line) { return absl::StrContains(line, "log_lines_dropped"); });
  ASSERT_TRUE(said.has_value());
  LogEvent event = ParseLogLine(*said);
  EXPECT_EQ(event["level"], "warning");
  EXPECT_GE(std::stoi(event["lines"]), 5);
  EXPECT_EQ(server.Stop(), 0);
  EXPECT_EQ(server.Log().back().at("event"), "stopped") << "what is queued at the end is written";
}

// The fault: it ended without a drain.
TEST_F(Surroundings, ASighupReloadsAndEndsNothing) {
  RunningServer server(models_.path());
  server.process().Signal(SIGHUP);
  const auto reloaded = server.process().WaitForErrorLine(
      [](const std::string& line) { return ParseLogLine(line)["event"] == "reloaded"; });
  ASSERT_TRUE(reloaded.has_value());
  EXPECT_EQ(ParseLogLine(*reloaded)["failed"], "0");
  EXPECT_EQ(server.caller().Health(), "SERVING");
  EXPECT_EQ(server.Stop(), 0);
}

TEST_F(Surroundings, SignalsThatMeanNothingHereEndNothing) {
  RunningServer server(models_.path());
  for (const int number : {SIGUSR1, SIGUSR2, SIGPIPE}) server.process().Signal(number);
  EXPECT_EQ(server.caller().Health(), "SERVING");
  EXPECT_EQ(server.Stop(), 0);
}

// The fault: sockets took their numbers, and the log went to whoever had connected.
TEST_F(Surroundings, StandardDescriptorsThatAreClosedAreOpenedOnNothing) {
  Process first(ServerProgram(), Arguments(), {.closed = {0, 1}});
  ASSERT_TRUE(first.WaitForErrorLine([](const std::string& line) { return ParseLogLine(line)["event"] == "serving"; }));
  EXPECT_EQ(Descriptor(first, 0), "/dev/null");
  EXPECT_EQ(Descriptor(first, 1), "/dev/null");
  Process second(ServerProgram(), Arguments(), {.closed = {0, 1, 2}});
  EXPECT_TRUE(WaitUntil([&second] { return Descriptor(second, 2) == "/dev/null"; }));
}

TEST_F(Surroundings, AnEmptyVariableAndOneThatIsOverriddenDoNotKeepItFromStarting) {
  RunningServer server(models_.path(), {"--max_rows=32"}, {{"HEED_MAX_ROWS", ""}, {"HEED_MAX_QUEUE", ""}});
  EXPECT_EQ(server.caller().Health(), "SERVING");
  RunningServer other(models_.path(), {"--max_rows=32"}, {{"HEED_MAX_ROWS", "many"}});
  EXPECT_EQ(other.caller().Health(), "SERVING");
}

// The faults: each of these was an abort.
TEST_F(Surroundings, TooFewThreadsEndTheStartWithOneLine) {
  // Stacks of a gigabyte, for the system has no bound on threads that holds for root too.
  const std::string said = FailedStart({{RLIMIT_STACK, kGiB}, {RLIMIT_AS, 4 * kGiB}});
  EXPECT_THAT(said, MatchesRegex("heed-server: the system gives this process [0-9]+ more threads; it needs at least "
                                 "[0-9]+ \\(ulimit -u or -v, or the container's limit of processes\\)"));
}

TEST_F(Surroundings, TooFewFilesEndTheStartWithOneLine) {
  EXPECT_EQ(FailedStart({{RLIMIT_NOFILE, 40}}),
            "heed-server: the system gives this process 40 open files; it needs at least 65 (ulimit -n)");
}

TEST_F(Surroundings, TooLittleAddressSpaceIsOneLineOrAServer) {
  int refused = 0;
  for (std::uint64_t space = 3 * kGiB / 16; space < kGiB; space += kGiB / 32) {
    Process process(ServerProgram(), Arguments(), {.limits = {{RLIMIT_AS, space}}});
    if (process.WaitForErrorLine([](const std::string& line) { return ParseLogLine(line)["event"] == "serving"; })) {
      process.Signal(SIGTERM);
      EXPECT_EQ(process.Wait(), 0) << space;
      continue;
    }
    ++refused;
    EXPECT_EQ(process.Wait(), 1) << space << ": " << process.error();
    ExpectOneLine(process.error());
  }
  EXPECT_GT(refused, 0);
}

// Words in order.
std::string Sorted(const std::string& words) {
  std::vector<std::string> all = absl::StrSplit(words, ' ');
  std::sort(all.begin(), all.end());
  return absl::StrJoin(all, " ");
}

// What the server logged of cores.
LogEvent CoresOf(RunningServer* server) {
  for (const LogEvent& event : server->Log()) {
    if (event.at("event") == "cores") return event;
  }
  return {};
}

// The mask of each thread, "0-1".
std::multiset<std::string> Masks(RunningServer& server) {
  std::multiset<std::string> masks;
  for (const auto& thread :
       std::filesystem::directory_iterator(absl::StrCat("/proc/", server.process().pid(), "/task"))) {
    std::ifstream status(thread.path() / "status");
    for (std::string line; std::getline(status, line);) {
      absl::string_view mask = line;
      if (absl::ConsumePrefix(&mask, "Cpus_allowed_list:\t")) masks.emplace(mask);
    }
  }
  return masks;
}

// The fault: the OpenMP runtime that oneDNN loads pinned main's thread, so that the server counted one core on any
// machine and ran all its threads on it.
TEST_F(Surroundings, VariablesThatPinOpenMpThreadsPinNothing) {
  RunningServer plain(models_.path());
  const LogEvent usual = CoresOf(&plain);
  ASSERT_FALSE(usual.empty());
  EXPECT_EQ(usual.at("variables_removed"), "");
  const std::string mask = *Masks(plain).begin();
  const std::vector<std::map<std::string, std::string>> environments = {
      {{"OMP_PROC_BIND", "true"}},
      {{"OMP_PROC_BIND", "close"}, {"OMP_PLACES", "cores"}},
      {{"GOMP_CPU_AFFINITY", "0"}},
      {{"OMP_PLACES", "{0}"}, {"KMP_AFFINITY", "granularity=fine,compact"}},
  };
  for (const auto& environment : environments) {
    RunningServer pinned(models_.path(), {}, environment);
    const LogEvent cores = CoresOf(&pinned);
    std::string names;
    for (const auto& [name, value] : environment) absl::StrAppend(&names, names.empty() ? "" : " ", name);
    ASSERT_FALSE(cores.empty());
    EXPECT_EQ(Sorted(cores.at("variables_removed")), names);
    EXPECT_EQ(cores.at("affinity"), usual.at("affinity")) << names;
    EXPECT_EQ(cores.at("workers"), usual.at("workers")) << names;
    const std::multiset<std::string> masks = Masks(pinned);
    EXPECT_GT(masks.size(), 3U);
    EXPECT_EQ(masks.count(mask), masks.size()) << names;
    EXPECT_EQ(pinned.caller().Health(), "SERVING");
  }
}

}  // namespace
}  // namespace heed
