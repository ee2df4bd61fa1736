#include "server/lifecycle/health_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace heed {
namespace {

using ::testing::HasSubstr;

// As Linux writes it: two servers that listen, a connection of one of them, a path, a stranger.
constexpr char kProcNetUnix[] =
    "Num       RefCount Protocol Flags    Type St Inode Path\n"
    "0000000000000000: 00000002 00000000 00010000 0001 01 92017 @heed-server/111/127.0.0.1:8500\n"
    "0000000000000000: 00000003 00000000 00000000 0001 03 92018 @heed-server/111/127.0.0.1:8500\n"
    "0000000000000000: 00000002 00000000 00010000 0001 01 92019 @heed-server/222/[::]:9000\n"
    "0000000000000000: 00000002 00000000 00010000 0001 01 92020 /run/heed-server/111/a:1\n"
    "0000000000000000: 00000002 00000000 00010000 0001 01 92021 @/tmp/.X11-unix/X0\n"
    "0000000000000000: 00000002 00000000 00000000 0002 01 92022\n";

TEST(HealthNames, AreThoseThatListen) {
  const std::vector<HealthName> names = HealthNames(kProcNetUnix);
  ASSERT_EQ(names.size(), 2U);
  EXPECT_EQ(names[0].mounts, "111");
  EXPECT_EQ(names[0].address, "127.0.0.1:8500");
  EXPECT_EQ(names[1].mounts, "222");
  EXPECT_EQ(names[1].address, "[::]:9000");
}

TEST(ChooseServer, TakesTheAddressAndOfTwoItsOwnContainers) {
  const std::vector<HealthName> names = {{"1", "a:1"}, {"2", "a:1"}, {"2", "b:2"}};
  EXPECT_EQ(ChooseServer(names, "2", "a:1", true)->mounts, "2");
  EXPECT_EQ(ChooseServer(names, "1", "b:2", true)->mounts, "2") << "from outside of the container";
}

TEST(ChooseServer, TakesTheOnlyOneOfTheContainerWhereNoAddressIsGiven) {
  const std::vector<HealthName> names = {{"1", "a:1"}, {"2", "b:2"}};
  EXPECT_EQ(ChooseServer(names, "1", "other:3", false)->address, "a:1");
  EXPECT_EQ(ChooseServer(names, "1", "other:3", true).status().message(), "no server is at --address other:3 here");
}

TEST(ChooseServer, DoesNotGuessAmongSeveral) {
  const std::vector<HealthName> names = {{"1", "a:1"}, {"1", "b:2"}};
  EXPECT_EQ(ChooseServer(names, "1", "c:3", false).status().message(),
            "no server is at --address c:3 here, but 2 at others; give its --address");
  EXPECT_EQ(ChooseServer({}, "1", "c:3", false).status().code(), absl::StatusCode::kNotFound);
}

class HealthSocketTest : public ::testing::Test {
 protected:
  // A host that no other process has.
  const std::string host_ = absl::StrCat("test-", getpid());
  Readiness readiness_;
};

TEST_F(HealthSocketTest, SaysWhatTheStateIs) {
  const auto socket = HealthSocket::Open(host_, 1, &readiness_);
  ASSERT_TRUE(socket.ok()) << socket.status();
  const std::string address = absl::StrCat(host_, ":1");
  testing::internal::CaptureStderr();
  EXPECT_EQ(RunHealthCheck(address, true), 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            absl::StrCat("heed-server: NOT_SERVING: the server at ", address, " says STARTING\n"));
  readiness_.Set(ServerState::kServing);
  testing::internal::CaptureStdout();
  EXPECT_EQ(RunHealthCheck(address, true), 0);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "SERVING\n");
  readiness_.Set(ServerState::kDraining);
  EXPECT_EQ(RunHealthCheck(address, true), 1);
}

TEST_F(HealthSocketTest, IsGoneWithItsServer) {
  const std::string address = absl::StrCat(host_, ":2");
  {
    const auto socket = HealthSocket::Open(host_, 2, &readiness_);
    ASSERT_TRUE(socket.ok()) << socket.status();
    EXPECT_THAT(std::string(HealthSocket::Open(host_, 2, &readiness_).status().message()), HasSubstr("in use"));
  }
  EXPECT_EQ(RunHealthCheck(address, true), 1);
  EXPECT_TRUE(HealthSocket::Open(host_, 2, &readiness_).ok());
}

TEST_F(HealthSocketTest, AnAddressLongerThanANameIsFoundAllTheSame) {
  readiness_.Set(ServerState::kServing);
  const std::string host = std::string(150, 'x') + host_;
  const auto socket = HealthSocket::Open(host, 3, &readiness_);
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_EQ(RunHealthCheck(absl::StrCat(host, ":3"), true), 0);
}

}  // namespace
}  // namespace heed
