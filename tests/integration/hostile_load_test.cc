// Every hostile client of bench/hostile_clients.py, one after another, against one server in a container's memory: it
// never dies, a client that does nothing wrong is served meanwhile, and all that they held comes free.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/memory_group.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"
#include "tests/integration/well_behaved.h"
#include "tests/support/skip.h"

namespace heed {
namespace {

constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kContainerBytes = 384 * kMiB;
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

std::int64_t ResidentBytes(int pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/statm"));
  std::int64_t all = 0, resident = 0;
  EXPECT_TRUE(file >> all >> resident);
  return resident * sysconf(_SC_PAGESIZE);
}

std::string LastWords(const std::string& text) {
  return text.substr(text.size() - std::min<std::size_t>(text.size(), 500));
}

TEST(HostileLoad, OfEveryKindNeitherEndsAServerInAContainersMemoryNorKeepsItFromOthers) {
  const MemoryGroup group(kContainerBytes);
  if (!group.made()) HEED_SKIP("needs root and a control group of memory (/sys/fs/cgroup)");
  TempFolder models;
  WriteSlowModel(models.path());
  // A connection's bound times the connections that a kind has is within the bound of all.
  RunningServer server(
      models.path(),
      {"--workers=1", "--max_target_tokens=65536", "--max_segments=256",
       absl::StrCat("--max_memory=", kContainerBytes / 16 * 15), absl::StrCat("--max_reply_bytes=", 16 * kMiB),
       absl::StrCat("--max_transport_bytes=", 64 * kMiB), absl::StrCat("--max_connection_bytes=", 8 * kMiB)},
      {}, group.Program(ServerProgram()));
  const std::vector<std::string> kinds = Kinds();
  ASSERT_GT(kinds.size(), 10U);
  for (const std::string& kind : kinds) {
    SCOPED_TRACE(kind);
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

// Calls' small buffers lie between others that stay: freed, they are not yet the system's.
TEST(HostileLoad, WhatFloodsOfCallsHeldGoesBackToTheSystem) {
  TempFolder models;
  WriteSlowModel(models.path());
  RunningServer server(models.path(), {"--workers=1", "--max_target_tokens=65536"});
  WellBehavedClient(server).ExpectReplies(3);
  ExpectRecovered(server);
  const std::int64_t before = ResidentBytes(server.process().pid());
  std::int64_t during = 0;
  for (const char* kind : {"header_floods", "endless_messages"}) {
    EXPECT_EQ(RunProgram(kPython, {HEED_HOSTILE_CLIENTS, kind, "--address=" + server.address(), "--seconds=2"}).code,
              0);
    during = std::max(during, ResidentBytes(server.process().pid()));
  }
  EXPECT_GT(during, before + before / 10) << "the test asks for too little";
  std::int64_t after = 0;
  EXPECT_TRUE(WaitUntil([&] { return (after = ResidentBytes(server.process().pid())) <= before + before / 50; }))
      << before << " bytes before, " << during << " during, " << after << " after";
}

}  // namespace
}  // namespace heed
