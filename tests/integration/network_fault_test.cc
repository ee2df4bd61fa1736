// A worker that stalls, and a network that is cut: rows come free, others are served, and what tries again succeeds.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"
#include "tests/integration/well_behaved.h"
#include "tests/support/skip.h"

namespace heed {
namespace {

constexpr int kVeryLong = 65536;  // target tokens

// A heed-server of two workers, whose first stalls in its next step while the file is there.
class StalledWorker : public ::testing::Test {
 protected:
  StalledWorker() : file_(models_.path() + "/stall") {
    WriteSlowModel(models_.path());
    server_ = std::make_unique<RunningServer>(
        models_.path(),
        std::vector<std::string>{"--workers=2", "--max_rows=4", "--max_beam_size=1", "--max_target_tokens=65536",
                                 "--default_reply_bytes=67108864"},
        std::map<std::string, std::string>{{"HEED_FAULT_STALL", file_}}, HEED_FAULT_SERVER_PROGRAM);
  }
  void Stall() { std::ofstream(file_) << "stall"; }
  void GoOn() { std::filesystem::remove(file_); }

  TempFolder models_;
  const std::string file_;
  std::unique_ptr<RunningServer> server_;
};

TEST_F(StalledWorker, LeavesTheOtherServing) {
  // A row for each worker; then one of the two stalls with its own.
  const auto one = server_->caller().StartTranslate(SlowRequest(2, 3000));
  server_->WaitForMetric("heed_live_segments", 2);
  Stall();
  EXPECT_TRUE(WaitUntil([&] { return std::filesystem::exists(file_ + ".stalled"); }));
  for (int i = 0; i < 10; ++i) {
    // Taken by whoever is free: the stalled one takes nothing.
    const TranslateAnswer answer = server_->caller().Translate(SlowRequest(1, 50));
    ASSERT_TRUE(answer.ok()) << answer.ToString();
  }
  GoOn();
  EXPECT_TRUE(one->Wait().ok()) << one->Wait().ToString();
  ExpectRecovered(*server_);
}

TEST_F(StalledWorker, DoesNotHoldUpADeadlineOfWhatItHasNotTaken) {
  const auto one = server_->caller().StartTranslate(SlowRequest(8, kVeryLong));
  server_->WaitForMetric("heed_live_segments", 8);
  Stall();
  const TranslateAnswer late = server_->caller().Translate(SlowRequest(8, kVeryLong), absl::Milliseconds(500));
  EXPECT_EQ(late.code, absl::StatusCode::kDeadlineExceeded) << late.ToString();
  one->Cancel();
  GoOn();
  EXPECT_EQ(one->Wait().code, absl::StatusCode::kCancelled);
  ExpectRecovered(*server_);
}

TEST_F(StalledWorker, IsWaitedForByADrain) {
  Stall();
  const auto one = server_->caller().StartTranslate(SlowRequest(2, 200));
  server_->WaitForMetric("heed_live_segments", 1);  // the other worker's is done
  server_->process().Signal(SIGTERM);
  EXPECT_TRUE(WaitUntil([&] { return server_->caller().Health() != "SERVING"; }));
  GoOn();
  EXPECT_TRUE(one->Wait().ok()) << one->Wait().ToString();
  EXPECT_EQ(server_->process().Wait(), 0);
}

// A network namespace joined to this machine's by a pair of virtual cards. Needs root, as CI has it.
class OtherMachine {
 public:
  // Why there can be none; empty: there can.
  static std::string Missing() {
    if (!std::filesystem::exists(kIp)) return "needs iproute2 (/sbin/ip)";
    const std::string name = absl::StrCat("heed-try", getpid());
    const Finished made = RunProgram(kIp, {"netns", "add", name});
    const Finished linked =
        made.code != 0 ? made : RunProgram(kIp, {"-n", name, "link", "add", "try0", "type", "veth", "peer", "try1"});
    if (made.code == 0) RunProgram(kIp, {"netns", "del", name});
    if (linked.code == 0) return "";
    const std::string said(absl::StripAsciiWhitespace(linked.err));
    return absl::StrCat("needs root and a kernel with network namespaces: ip says \"",
                        absl::StrReplaceAll(said, {{"\n", "; "}}), "\"");
  }

  OtherMachine() : name_(absl::StrCat("heed", getpid())), card_(absl::StrCat("hd", getpid())) {
    Ip({"netns", "add", name_});
    Ip({"link", "add", card_, "type", "veth", "peer", "name", "eth0", "netns", name_});
    Ip({"addr", "add", "198.51.100.1/30", "dev", card_});
    Ip({"link", "set", card_, "up"});
    Ip({"-n", name_, "addr", "add", "198.51.100.2/30", "dev", "eth0"});
    Ip({"-n", name_, "link", "set", "eth0", "up"});
  }
  ~OtherMachine() { Ip({"netns", "del", name_}); }

  // Nothing gets through in either direction, and nobody is told.
  void Cut() { Ip({"-n", name_, "link", "set", "eth0", "down"}); }
  void Heal() { Ip({"-n", name_, "link", "set", "eth0", "up"}); }

  std::unique_ptr<Process> Start(const std::string& program, std::vector<std::string> arguments) {
    std::vector<std::string> all = {"netns", "exec", name_, program};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return std::make_unique<Process>(kIp, all);
  }

 private:
  static constexpr char kIp[] = "/sbin/ip";

  static void Ip(const std::vector<std::string>& arguments) {
    const Finished finished = RunProgram(kIp, arguments);
    ASSERT_EQ(finished.code, 0) << "ip " << ::testing::PrintToString(arguments) << ": " << finished.err;
  }

  const std::string name_, card_;
};

TEST(Partition, ACutNetworkFreesRowsAndAClientThatTriesAgainSucceedsAfterIt) {
  if (const std::string missing = OtherMachine::Missing(); !missing.empty()) HEED_SKIP(missing);
  TempFolder models;
  WriteSlowModel(models.path());
  OtherMachine other;
  if (HasFatalFailure()) return;
  RunningServer server(models.path(), {"--address=0.0.0.0:0", "--keepalive_time=1s", "--keepalive_timeout=1s",
                                       "--max_target_tokens=65536", "--default_reply_bytes=67108864",
                                       "--max_request_bytes=68719476736", "--max_memory=137438953472"});
  const std::string address = absl::StrCat("--address=198.51.100.1:", server.port());
  const auto lost = other.Start(ClientProgram(), {"translate", address, "--min_length=65535", "--max_length=65536",
                                                  "--timeout=60s", "--retries=0", "하나"});
  server.WaitForMetric("heed_live_segments", 1);
  other.Cut();
  server.WaitForMetric("heed_live_segments", 0);  // noticed by the ping that nobody answered
  server.WaitUntilIdle();                         // a request is counted before it counts as no longer in flight
  EXPECT_EQ(server.Metric(R"(heed_requests_total{code="CANCELLED",model="slow",rpc="Translate",version="1"})"), 1)
      << "it ended by itself";
  const auto waiting = other.Start(
      ClientProgram(), {"translate", address, "--max_length=20", "--timeout=60s", "--retries=1000", "하나"});
  EXPECT_TRUE(server.caller().Translate(SlowRequest(1, 5)).ok());
  other.Heal();
  EXPECT_EQ(waiting->Wait(), 0) << waiting->error();
  lost->Signal(SIGKILL);
  lost->Wait();
  ExpectRecovered(server);
}

}  // namespace
}  // namespace heed
