#include "server/net/listener.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/socket_client.h"

namespace heed {
namespace {

using ::testing::AnyOf;

class ListenerTest : public ::testing::Test {
 protected:
  ~ListenerTest() override {
    listener_.reset();
    absl::MutexLock lock(&mu_);
    for (const int fd : taken_) close(fd);
  }

  absl::Status Open(const std::string& address) {
    absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::Open(address);
    if (!listener.ok()) return listener.status();
    listener_ = *std::move(listener);
    return absl::OkStatus();
  }
  void Start() {
    ASSERT_TRUE(listener_
                    ->Start(
                        "accept",
                        [this](int fd, Peer peer) {
                          absl::MutexLock lock(&mu_);
                          taken_.push_back(fd);
                          peers_.push_back(std::move(peer));
                        },
                        [](const char*) {})
                    .ok());
  }
  // Waits until so many connections have been handed over.
  bool Taken(std::size_t count) {
    absl::MutexLock lock(&mu_);
    const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return taken_.size() >= count; };
    return mu_.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(30)) && taken_.size() == count;
  }
  std::unique_ptr<Listener> listener_;
  absl::Mutex mu_;
  std::vector<int> taken_ ABSL_GUARDED_BY(mu_);
  std::vector<Peer> peers_ ABSL_GUARDED_BY(mu_);
};

TEST_F(ListenerTest, HandsOverConnectionsWithWhoIsThere) {
  ASSERT_TRUE(Open("127.0.0.1:0").ok());
  EXPECT_GT(listener_->port(), 0);
  const SocketClient early(listener_->port());
  EXPECT_TRUE(early.connected()) << "waits until Start";
  Start();
  ASSERT_TRUE(Taken(1));
  absl::MutexLock lock(&mu_);
  int value = 0;
  socklen_t size = sizeof value;
  getsockopt(taken_[0], IPPROTO_TCP, TCP_NODELAY, &value, &size);
  EXPECT_NE(value, 0);
  EXPECT_EQ(peers_[0].address, "127.0.0.1");
  EXPECT_GT(peers_[0].port, 0);
}

// gRPC's own listener would have stopped for good.
TEST_F(ListenerTest, WaitsForDescriptorsWhereThereAreNone) {
  ASSERT_TRUE(Open("127.0.0.1:0").ok());
  Start();
  rlimit usual = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(client, 0);
  rlimit none = usual;
  none.rlim_cur = static_cast<rlim_t>(client) + 1;
  std::vector<int> fillers;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  for (int fd = dup(0); fd >= 0; fd = dup(0)) fillers.push_back(fd);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(listener_->port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << "the system's queue has it";
  pollfd silent = {client, POLLIN, 0};
  EXPECT_EQ(poll(&silent, 1, 200), 0) << "neither closed nor answered";
  for (const int fd : fillers) close(fd);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_TRUE(Taken(1)) << "taken once there is room";
  close(client);
}

TEST_F(ListenerTest, StoppedRefusesAndMayBeStoppedAgain) {
  ASSERT_TRUE(Open("127.0.0.1:0").ok());
  Start();
  listener_->Stop();
  EXPECT_FALSE(SocketClient(listener_->port()).connected());
  listener_->Stop();
}

TEST_F(ListenerTest, ListensOnIpv6) {
  const absl::Status status = Open("[::1]:0");
  if (!status.ok()) {  // a machine without IPv6 says so
    EXPECT_THAT(std::string(status.message()),
                AnyOf("Cannot assign requested address", "Address family not supported by protocol"));
    return;
  }
  Start();
  const SocketClient client(listener_->port(), AF_INET6);
  EXPECT_TRUE(Taken(1));
}

TEST_F(ListenerTest, ANameMayHaveSeveralAddresses) {
  ASSERT_TRUE(Open("localhost:0").ok());
  Start();
  const SocketClient client(listener_->port());
  EXPECT_TRUE(Taken(1));
}

TEST_F(ListenerTest, APortInUseIsAnError) {
  ASSERT_TRUE(Open("127.0.0.1:0").ok());
  const std::string taken = absl::StrCat("127.0.0.1:", listener_->port());
  EXPECT_EQ(Listener::Open(taken).status().message(), "Address already in use");
}

TEST_F(ListenerTest, AnAddressThatIsNotThisMachinesIsAnError) {
  EXPECT_EQ(Open("203.0.113.1:0").message(), "Cannot assign requested address");
}

TEST_F(ListenerTest, AHostThatIsNotKnownIsAnError) {
  const absl::Status status = Open("no.such.host.invalid:0");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              AnyOf("Name or service not known", "Temporary failure in name resolution"));
}

}  // namespace
}  // namespace heed
