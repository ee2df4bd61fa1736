// A socket server whose protocol does what its client says, and clients of it, over loopback.
//
// Not thread-safe but for what says so.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "server/net/socket_server.h"

namespace heed {

// Lines: "who" tells of the peer, "large N" gives N bytes, "quit WHY" ends with that fault; all else comes back.
class PuppetProtocol : public Protocol {
 public:
  explicit PuppetProtocol(Wire* wire) : wire_(wire) {}
  void Receive(absl::string_view bytes) override {
    in_.append(bytes.data(), bytes.size());
    for (std::size_t end = in_.find('\n'); end != std::string::npos; end = in_.find('\n')) {
      Obey(in_.substr(0, end));
      in_.erase(0, end + 1);
    }
  }
  void Produce(std::size_t room, std::string* out) override {
    out->append(std::exchange(out_, ""));
    const std::size_t size = std::min(large_, room);
    out->append(size, 'x');
    large_ -= size;
  }
  bool Reads() const override { return true; }
  bool Done() const override { return done_; }
  absl::string_view fault() const override { return fault_; }
  void OnTime(absl::Time /*now*/) override { out_ += "time\n"; }
  void OnEnd() override {
    out_ += "ended\n";
    done_ = true;
  }

 private:
  void Obey(absl::string_view line) {
    const Peer& peer = wire_->peer();
    if (line == "who") {
      absl::StrAppend(&out_, peer.address, " ", peer.port, " ", peer.identity, peer.tls ? " tls\n" : " plain\n");
    } else if (line == "wake") {
      wire_->WakeAt(Clock::Real()->Now() + absl::Milliseconds(1));
    } else if (absl::ConsumePrefix(&line, "large ")) {
      EXPECT_TRUE(absl::SimpleAtoi(line, &large_));
    } else if (absl::ConsumePrefix(&line, "quit ")) {
      out_ += "bye\n";
      fault_ = std::string(line);
      done_ = true;
    } else {
      absl::StrAppend(&out_, line, "\n");
    }
  }

  Wire* const wire_;
  std::string in_;
  std::string out_;
  std::size_t large_ = 0;
  std::string fault_;
  bool done_ = false;
};

// A client's end. Reading waits for 30 s at most.
class TestClient {
 public:
  // `room` 0: as many bytes as the system likes may wait to be read.
  explicit TestClient(int port, int room = 0) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval most = {30, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    if (room > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~TestClient() { close(fd_); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  int fd() const { return fd_; }
  void Send(const std::string& bytes) { send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  void SendEnd() { shutdown(fd_, SHUT_WR); }
  // Is closed as with a power cut's packet.
  void ResetOnClose() {
    const linger now = {1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  // The next bytes, `size` of them, or fewer up to the end.
  std::string Read(std::size_t size) {
    std::string bytes(size, '\0');
    const ssize_t count = recv(fd_, bytes.data(), size, MSG_WAITALL);
    bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return bytes;
  }
  bool Echoes() {
    Send("hello\n");
    return Read(6) == "hello\n";
  }
  // The server has closed it, and said nothing more. A reset is an end too.
  bool AtEnd() {
    char byte = 0;
    const ssize_t count = recv(fd_, &byte, 1, 0);
    return count == 0 || (count < 0 && errno == ECONNRESET);
  }

 private:
  const int fd_;
};

class SocketServerTest : public ::testing::Test {
 protected:
  SocketServerOptions options_ = {.address = "127.0.0.1:0"};
  int limit_ = 100;
  int per_address_ = 0;

  ~SocketServerTest() override {
    if (server_ == nullptr) return;
    server_->StopAccepting();
    loop_->Stop();
    server_.reset();
    EXPECT_EQ(counts_->stats().open, 0);
  }
  void Start(TlsContext* tls = nullptr) {
    counts_ = std::make_unique<ConnectionCounts>(limit_, per_address_);
    loop_ = *EventLoop::Make({.name = "loop"});
    server_ = *SocketServer::Open(options_, tls, counts_.get());
    ASSERT_TRUE(loop_->Start().ok());
    ASSERT_TRUE(
        server_->Start({{loop_.get(), [](Wire* wire) { return std::make_unique<PuppetProtocol>(wire); }}}).ok());
  }
  int port() const { return server_->port(); }
  // What the loop has to do with it is done, soon.
  template <typename Condition>
  bool Await(const Condition& condition) {
    const absl::Time until = absl::Now() + absl::Seconds(30);
    while (!condition() && absl::Now() < until) {
      absl::Notification turn;
      loop_->Submit([&turn] { turn.Notify(); });
      turn.WaitForNotification();
    }
    return condition();
  }
  std::int64_t faults(const std::string& why) {
    const ConnectionStats stats = counts_->stats();
    const auto found = stats.faults.find(why);
    return found == stats.faults.end() ? 0 : found->second;
  }
  bool AwaitNone() {
    return Await([this] { return counts_->stats().open == 0; });
  }

  std::unique_ptr<ConnectionCounts> counts_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<SocketServer> server_;
};

}  // namespace heed
