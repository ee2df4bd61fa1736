// Connections that are half open, hold back or break the rules, by the hundred: others are served meanwhile, and what
// they held comes free.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/raw_http2.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"
#include "tests/integration/well_behaved.h"

namespace heed {
namespace {

constexpr int kMany = 200;
constexpr char kTranslate[] = "/heed.v1.TranslationService/Translate";
constexpr char kStreamTranslate[] = "/heed.v1.TranslationService/StreamTranslate";

class HostileConnections : public ::testing::Test {
 protected:
  HostileConnections() { WriteSlowModel(models_.path()); }
  std::unique_ptr<RunningServer> Start(std::vector<std::string> flags = {}) {
    flags.insert(flags.begin(), {"--workers=1", "--max_rows=8", "--max_beam_size=1", "--max_target_tokens=65536",
                                 "--default_reply_bytes=67108864"});
    return std::make_unique<RunningServer>(models_.path(), flags);
  }

  TempFolder models_;
};

TEST_F(HostileConnections, ThatSayNothingOrStopInTheMiddleOfAWordKeepNobodyOut) {
  const auto server = Start();
  const std::string preface = http2::Preface();
  const std::string call =
      http2::CallHeaders(1, kTranslate) + http2::CallMessage(1, SlowRequest(1, 5).SerializeAsString());
  {
    WellBehavedClient neighbour(*server);
    std::vector<RawConnection> connections;
    for (int i = 0; i < kMany; ++i) {
      connections.emplace_back(server->port());
      switch (i % 4) {
        case 0:  // says nothing
          break;
        case 1:
          EXPECT_TRUE(connections.back().Send(preface.substr(0, preface.size() / 2)));
          break;
        case 2:  // stops in the middle of its call's message
          EXPECT_TRUE(connections.back().Send(preface + call.substr(0, call.size() - 7)));
          break;
        default:
          EXPECT_TRUE(connections.back().Send("GET / HTTP/1.1\r\nHost: heed\r\n\r\n"));
      }
    }
    neighbour.ExpectReplies(5);
    EXPECT_EQ(server->Metric("heed_live_segments") >= 0, true) << "the metrics answer too";
    connections.clear();
    neighbour.ExpectReplies(2);
  }
  ExpectRecovered(*server);
}

TEST_F(HostileConnections, ThatSayNothingAreClosedInTime) {
  const auto server = Start({"--keepalive_timeout=3s"});
  EXPECT_EQ(server->caller().Health(), "SERVING");
  std::vector<RawConnection> connections;
  for (int i = 0; i < kMany; ++i) connections.emplace_back(server->port());
  server->WaitForMetric("heed_connections", kMany + 1);
  server->WaitForMetric("heed_connections", 1);
  EXPECT_EQ(server->caller().Health(), "SERVING");
}

// Such a client answers to its connection, and gRPC itself would wait for it for ever.
TEST_F(HostileConnections, CallsThatNeverTakeTheirAnswerEndAtTheServersDeadline) {
  const auto server = Start({"--default_deadline=2s"});
  std::vector<RawConnection> connections;
  for (int i = 0; i < 20; ++i) {
    connections.emplace_back(server->port());
    RawConnection& connection = connections.back();
    v1::StreamTranslateRequest stream;
    *stream.mutable_request() = SlowRequest(1, 200);
    const bool streams = i % 2 == 0;
    ASSERT_TRUE(connection.Send(absl::StrCat(
        http2::Preface(/*initial_window=*/0), http2::CallHeaders(1, streams ? kStreamTranslate : kTranslate),
        http2::CallMessage(1, streams ? stream.SerializeAsString() : stream.request().SerializeAsString()))));
  }
  EXPECT_TRUE(WaitUntil([&] { return server->Metric("heed_requests_in_flight") == 20; }));
  server->WaitForMetric("heed_live_segments", 0);  // all is decoded; the answers wait for their readers
  server->WaitForMetric("heed_requests_in_flight", 0);
  ExpectRecovered(*server);
}

TEST_F(HostileConnections, CallsThatAreResetAsSoonAsTheyAreMadeLeaveNothing) {
  const auto server = Start();
  {
    WellBehavedClient neighbour(*server);
    for (int connection = 0; connection < 10; ++connection) {
      RawConnection hostile(server->port());
      std::string bytes = http2::Preface();
      for (std::uint32_t call = 0; call < 200; ++call) {
        const std::uint32_t stream = 2 * call + 1;
        absl::StrAppend(&bytes, http2::CallHeaders(stream, kTranslate),
                        http2::CallMessage(stream, SlowRequest(1, 65535).SerializeAsString()),
                        http2::ResetStream(stream));
      }
      hostile.Send(bytes);  // the server may send such a client away
      neighbour.ExpectReplies(1);
    }
  }
  ExpectRecovered(*server);
}

// Lowers the process's limit so that it may open so many more files.
void SetFilesLeft(int pid, int left) {
  std::set<int> open;
  for (const auto& file : std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/fd"))) {
    open.insert(std::stoi(file.path().filename()));
  }
  rlimit limit = {};
  ASSERT_EQ(prlimit(pid, RLIMIT_NOFILE, nullptr, &limit), 0);
  int number = 0;
  for (; left > 0; ++number) left -= open.count(number) == 0 ? 1 : 0;
  limit.rlim_cur = static_cast<rlim_t>(number);
  ASSERT_EQ(prlimit(pid, RLIMIT_NOFILE, &limit, nullptr), 0);
}

// gRPC's own listener stops for good at the first connection that it cannot accept.
TEST_F(HostileConnections, ThatHoldEveryFileKeepNewOnesOutOnlyWhileTheyDo) {
  const auto server = Start();
  {
    WellBehavedClient neighbour(*server);
    SetFilesLeft(server->process().pid(), 10);
    std::vector<RawConnection> connections;
    for (int i = 0; i < kMany; ++i) connections.emplace_back(server->port());
    EXPECT_TRUE(server->process().WaitForErrorLine(
        [](const std::string& line) { return line.find("accept_waits") != std::string::npos; }));
    neighbour.ExpectReplies(2);
  }
  ExpectRecovered(*server);
}

}  // namespace
}  // namespace heed
