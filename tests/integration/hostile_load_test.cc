// Every hostile client of bench/hostile_clients.py, one after another, against one server in a container's memory: it
// never dies, a client that does nothing wrong is served meanwhile, and all that they held comes free.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/memory_group.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"
#include "tests/integration/well_behaved.h"

namespace heed {
namespace {

constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kContainerBytes = 256 * kMiB;
constexpr char kPython[] = "/usr/bin/python3";

std::vector<std::string> Kinds() {
  const Finished list = RunProgram(kPython, {HEED_HOSTILE_CLIENTS, "--list"});
  EXPECT_EQ(list.code, 0) << list.err;
  std::vector<std::string> kinds;
  for (const auto line : absl::StrSplit(list.out, '\n', absl::SkipEmpty())) {
    kinds.emplace_back(line.substr(0, line.find(':')));
  }
  return kinds;
}

std::string LastWords(const std::string& text) {
  return text.substr(text.size() - std::min<std::size_t>(text.size(), 500));
}

TEST(HostileLoad, OfEveryKindNeitherEndsAServerInAContainersMemoryNorKeepsItFromOthers) {
  TempFolder models;
  WriteSlowModel(models.path());
  const MemoryGroup group(kContainerBytes);
  RunningServer server(models.path(),
                       {"--workers=1", "--max_target_tokens=65536", "--default_reply_bytes=4194304",
                        absl::StrCat("--max_request_bytes=", 64 * kMiB), absl::StrCat("--max_queue_bytes=", 16 * kMiB),
                        absl::StrCat("--max_transport_bytes=", 32 * kMiB), "--max_segments=256"},
                       {}, group.Program(ServerProgram()));
  const std::vector<std::string> kinds = Kinds();
  ASSERT_GT(kinds.size(), 10U);
  for (const std::string& kind : kinds) {
    SCOPED_TRACE(absl::StrCat(kind, " in a ", group.Describe()));
    WellBehavedClient neighbour(server);
    Process hostile(kPython, {HEED_HOSTILE_CLIENTS, kind, "--address=" + server.address(),
                              absl::StrCat("--metrics_address=127.0.0.1:", server.metrics_port()), "--seconds=2"});
    neighbour.ExpectReplies(3);
    EXPECT_EQ(hostile.Wait(), 0) << hostile.error();
    ASSERT_TRUE(server.process().running())
        << "ended for memory: " << group.Kills() << "; its last words: " << LastWords(server.process().error());
    neighbour.ExpectReplies(1);
    EXPECT_EQ(Caller(server.port()).Health(), "SERVING");
  }
  ExpectRecovered(server);
}

}  // namespace
}  // namespace heed
