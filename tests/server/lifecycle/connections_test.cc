#include "server/lifecycle/connections.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "tests/support/fake_clock.h"

namespace heed {
namespace {

class Socket {
 public:
  Socket() : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) { EXPECT_GE(fd_, 0); }
  ~Socket() { Close(); }
  int fd() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

class ConnectionsTest : public ::testing::Test {
 protected:
  FakeClock clock_;
};

TEST_F(ConnectionsTest, RefusesPastItsLimitAndCountsThat) {
  Connections connections(2, &clock_);
  const Socket first, second, third;
  EXPECT_TRUE(connections.Add(first.fd()));
  EXPECT_TRUE(connections.Add(second.fd()));
  EXPECT_FALSE(connections.Add(third.fd()));
  const ConnectionStats stats = connections.stats();
  EXPECT_EQ(stats.open, 2);
  EXPECT_EQ(stats.limit, 2);
  EXPECT_EQ(stats.refused, 1);
}

TEST_F(ConnectionsTest, OneThatIsClosedMakesRoom) {
  Connections connections(1, &clock_);
  Socket first;
  const Socket second;
  ASSERT_TRUE(connections.Add(first.fd()));
  first.Close();
  EXPECT_TRUE(connections.Add(second.fd()));
  EXPECT_EQ(connections.stats().open, 1);
}

TEST_F(ConnectionsTest, OneWhoseDescriptorIsAnothersIsGone) {
  Connections connections(2, &clock_);
  Socket first;
  ASSERT_TRUE(connections.Add(first.fd()));
  const int number = first.fd();
  first.Close();
  const Socket other;
  ASSERT_EQ(dup2(other.fd(), number), number);
  EXPECT_EQ(connections.stats().open, 0);
  close(number);
  const int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(dup2(file, number), number);
  EXPECT_EQ(connections.stats().open, 0);
  close(number);
  close(file);
}

TEST_F(ConnectionsTest, ASocketOnTheNumberOfOneThatIsGoneCountsOnce) {
  Connections connections(2, &clock_);
  for (int i = 0; i < 5; ++i) {
    const Socket socket;  // the same number each time
    EXPECT_TRUE(connections.Add(socket.fd()));
  }
  EXPECT_EQ(connections.stats().refused, 0);
}

TEST_F(ConnectionsTest, ThoseWhoAreRefusedDoNotEachHaveAllTheOthersLookedAt) {
  Connections connections(1, &clock_);
  Socket first;
  const Socket second;
  ASSERT_TRUE(connections.Add(first.fd()));
  EXPECT_FALSE(connections.Add(second.fd()));
  first.Close();
  EXPECT_FALSE(connections.Add(second.fd())) << "it looked a moment ago";
  clock_.Advance(absl::Milliseconds(10));
  EXPECT_TRUE(connections.Add(second.fd()));
}

TEST_F(ConnectionsTest, TheLimitIsLoweredButToNoLessThanOne) {
  Connections connections(5, &clock_);
  connections.Lower(7);
  EXPECT_EQ(connections.stats().limit, 5);
  connections.Lower(3);
  EXPECT_EQ(connections.stats().limit, 3);
  connections.Lower(-20);
  EXPECT_EQ(connections.stats().limit, 1);
}

TEST_F(ConnectionsTest, HangingUpEndsWhatIsSentAfterWhatWas) {
  Connections connections(2, &clock_);
  int pair[2], other[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, other), 0);
  ASSERT_TRUE(connections.Add(pair[0]));
  ASSERT_EQ(write(pair[0], "answer", 6), 6);
  connections.HangUp();
  char bytes[8];
  EXPECT_EQ(read(pair[1], bytes, sizeof bytes), 6);
  EXPECT_EQ(read(pair[1], bytes, sizeof bytes), 0) << "the end";
  EXPECT_EQ(read(other[1], bytes, sizeof bytes), -1) << "not one of them";
  for (const int fd : {pair[0], pair[1], other[0], other[1]}) close(fd);
}

}  // namespace
}  // namespace heed
