// Clients that die by the hundred, that are stopped, and a server that dies: the others are served meanwhile, and
// nothing that the dead held stays in use.
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"
#include "tests/integration/well_behaved.h"

namespace heed {
namespace {

constexpr char kSlowSamples[] = R"(model="slow",rpc="Translate",version="1"})";

class DeadClients : public ::testing::Test {
 protected:
  DeadClients() { WriteSlowModel(models_.path()); }

  std::unique_ptr<RunningServer> Start(std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"--max_target_tokens=65536", "--default_reply_bytes=67108864",
                                 "--max_request_bytes=68719476736", "--max_memory=137438953472"});
    return std::make_unique<RunningServer>(models_.path(), flags);
  }

  static std::string Answered(const std::string& code) {
    return absl::StrCat("heed_requests_total{code=\"", code, "\",", kSlowSamples);
  }

  TempFolder models_;
};

// A `heed translate` of its own process.
std::unique_ptr<Process> StartHeed(const RunningServer& server, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"translate", "--address=" + server.address()});
  return std::make_unique<Process>(ClientProgram(), arguments);
}

std::vector<std::string> Endless() { return {"--min_length=65535", "--max_length=65536", "하나", "둘"}; }

TEST_F(DeadClients, HundredsKilledInTheMiddleOfACallFreeEverything) {
  constexpr int kWaves = 3, kClients = 40;
  const auto server = Start({"--workers=2", "--max_rows=128"});
  {
    WellBehavedClient neighbour(*server);
    for (int wave = 0; wave < kWaves; ++wave) {
      std::vector<std::unique_ptr<Process>> clients;
      for (int i = 0; i < kClients; ++i) clients.push_back(StartHeed(*server, Endless()));
      EXPECT_TRUE(WaitUntil([&] { return server->Metric("heed_requests_in_flight") >= kClients; }));
      neighbour.ExpectReplies(3);
      for (const auto& client : clients) client->Signal(SIGKILL);
      for (const auto& client : clients) EXPECT_EQ(client->Wait(), 128 + SIGKILL);
      // The next wave comes while the server is still clearing up.
    }
    neighbour.ExpectReplies(3);
  }
  ExpectRecovered(*server);
  EXPECT_EQ(server->Metric(Answered("CANCELLED")), kWaves * kClients);
}

TEST_F(DeadClients, HundredsKilledInTheMiddleOfAStreamFreeEverything) {
  constexpr int kWaves = 3, kClients = 35;
  const auto server = Start({"--workers=2", "--max_rows=128"});
  {
    WellBehavedClient neighbour(*server);
    for (int wave = 0; wave < kWaves; ++wave) {
      std::vector<std::unique_ptr<Process>> clients;
      for (int i = 0; i < kClients; ++i) {
        std::vector<std::string> arguments = Endless();
        arguments.push_back("--stream");
        clients.push_back(StartHeed(*server, arguments));
      }
      for (const auto& client : clients) {
        EXPECT_TRUE(WaitUntil([&] { return !client->output().empty(); })) << "it never told a word";
      }
      neighbour.ExpectReplies(3);
      for (const auto& client : clients) client->Signal(SIGKILL);
      for (const auto& client : clients) EXPECT_EQ(client->Wait(), 128 + SIGKILL);
    }
    neighbour.ExpectReplies(3);
  }
  ExpectRecovered(*server);
}

TEST_F(DeadClients, OneThatIsStoppedInTheMiddleOfAStreamHoldsUpNobodyAndGetsItWholeWhenItGoesOn) {
  const auto server = Start({"--workers=1", "--max_rows=16"});
  const std::vector<std::string> arguments = {"--stream", "--min_length=8000", "--max_length=8001", "안녕"};
  const auto expected = StartHeed(*server, arguments);
  ASSERT_EQ(expected->Wait(), 0) << expected->error();
  WellBehavedClient neighbour(*server);
  const auto client = StartHeed(*server, arguments);
  EXPECT_TRUE(WaitUntil([&] { return !client->output().empty(); }));
  client->Signal(SIGSTOP);
  neighbour.ExpectReplies(5);
  client->Signal(SIGCONT);
  EXPECT_EQ(client->Wait(), 0) << client->error();
  EXPECT_EQ(client->output(), expected->output());
}

TEST_F(DeadClients, OneThatIsStoppedPastItsDeadlineFreesWhatItHeld) {
  const auto server = Start({"--workers=1", "--max_rows=16"});
  {
    WellBehavedClient neighbour(*server);
    auto arguments = Endless();
    arguments.push_back("--timeout=1s");
    const auto client = StartHeed(*server, arguments);
    EXPECT_TRUE(WaitUntil([&] { return server->Metric("heed_rows_in_use") >= 3; }));
    client->Signal(SIGSTOP);
    server->WaitForMetric(Answered("DEADLINE_EXCEEDED"), 1);
    neighbour.ExpectReplies(3);
    client->Signal(SIGCONT);
    EXPECT_EQ(client->Wait(), 7) << client->error();
  }
  ExpectRecovered(*server);
}

TEST_F(DeadClients, AServerThatIsKilledAndStartedAgainAnswersTheClientThatTriesAgain) {
  const std::vector<std::string> arguments = {"--retries=1000", "--min_length=2000", "--max_length=2001", "안녕"};
  auto server = Start({});
  const auto expected = StartHeed(*server, arguments);
  ASSERT_EQ(expected->Wait(), 0) << expected->error();

  const auto client = StartHeed(*server, arguments);
  server->WaitForMetric("heed_live_segments", 1);
  const std::string address = server->address();
  server->process().Signal(SIGKILL);
  EXPECT_EQ(server->process().Wait(), 128 + SIGKILL);
  ASSERT_TRUE(client->running()) << "it was not in the middle of its call: " << client->output() << client->error();
  server = Start({"--address=" + address});
  EXPECT_EQ(client->Wait(), 0) << client->error();
  EXPECT_EQ(client->output(), expected->output());
  ExpectRecovered(*server);
}

}  // namespace
}  // namespace heed
