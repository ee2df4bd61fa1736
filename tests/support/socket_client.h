// A client's end of a plain TCP connection to this machine, for tests of what listens. No wait is longer than 20 s.
//
//   SocketClient client(port);
//   EXPECT_THAT(client.Ask("GET / HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 404"));
//
// Not thread-safe.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace heed {

class SocketClient {
 public:
  // Connects to the loopback address, of IPv6 where `family` is AF_INET6.
  explicit SocketClient(int port, int family = AF_INET) : fd_(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in four = {};
    four.sin_family = AF_INET;
    four.sin_port = htons(static_cast<std::uint16_t>(port));
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 six = {};
    six.sin6_family = AF_INET6;
    six.sin6_port = four.sin_port;
    six.sin6_addr = in6addr_loopback;
    const timeval longest = {.tv_sec = 20};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
    connected_ = family == AF_INET ? connect(fd_, reinterpret_cast<sockaddr*>(&four), sizeof four) == 0
                                   : connect(fd_, reinterpret_cast<sockaddr*>(&six), sizeof six) == 0;
  }
  SocketClient(SocketClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_) {}
  ~SocketClient() {
    if (fd_ >= 0) close(fd_);
  }

  bool connected() const { return connected_; }
  int fd() const { return fd_; }

  bool Send(absl::string_view bytes) {
    return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  // Sends no more.
  void End() { shutdown(fd_, SHUT_WR); }

  // What comes until the other end closes.
  std::string ReadToEnd() {
    std::string all;
    while (ReadSome(&all) > 0) {
    }
    return all;
  }
  // What comes until there is `text` in it, or the other end closes.
  std::string ReadUntil(absl::string_view text) {
    std::string all;
    while (!(all.find(text.data(), 0, text.size()) != std::string::npos) && ReadSome(&all) > 0) {
    }
    return all;
  }
  std::string Ask(absl::string_view request) {
    Send(request);
    return ReadToEnd();
  }
  // Waits until the other end is closed, and says nothing before.
  bool IsClosed() {
    std::string said;
    const ssize_t count = ReadSome(&said);
    return count == 0 || (count < 0 && errno == ECONNRESET);
  }

 private:
  ssize_t ReadSome(std::string* all) {
    std::array<char, 65536> bytes;
    const ssize_t count = recv(fd_, bytes.data(), bytes.size(), 0);
    if (count > 0) all->append(bytes.data(), static_cast<std::size_t>(count));
    return count;
  }

  int fd_;
  bool connected_ = false;
};

}  // namespace heed
