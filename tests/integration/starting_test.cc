// A server whose models take their time: what probes are told meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/process.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"
#include "tests/support/socket_client.h"

namespace heed {
namespace {

TEST(Starting, ProbesAreAnsweredWhileModelsAreLoaded) {
  TempFolder models, files;
  WriteLuong(models.path(), "luong");
  const std::string held = files.path() + "/held";
  std::ofstream(held) << "held";
  Process server(
      HEED_FAULT_SERVER_PROGRAM,
      {"--models=" + models.path(), "--address=127.0.0.1:0", "--metrics_address=127.0.0.1:0", "--log_format=json"},
      {.environment = {{"HEED_FAULT_START", held}}});
  int port = 0;
  ASSERT_TRUE(server.WaitForErrorLine([&](const std::string& line) {
    LogEvent event = ParseLogLine(line);
    return event["event"] == "http_listening" && absl::SimpleAtoi(event["port"], &port);
  }));
  const auto status_of = [port](const char* path) {
    return SocketClient(port).Ask(absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n")).substr(9, 3);
  };
  EXPECT_EQ(status_of("/livez"), "200");
  EXPECT_EQ(status_of("/startupz"), "503");
  EXPECT_EQ(status_of("/readyz"), "503");
  EXPECT_EQ(status_of("/metrics"), "503");
  std::filesystem::remove(held);
  EXPECT_TRUE(WaitUntil([&] { return status_of("/startupz") == "200"; }));
  EXPECT_EQ(status_of("/readyz"), "200");
  EXPECT_EQ(status_of("/metrics"), "200");
}

}  // namespace
}  // namespace heed
