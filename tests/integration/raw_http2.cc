#include "tests/integration/raw_http2.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"

namespace heed {
namespace {

// How long a server may leave full buffers unread before it counts as not reading.
constexpr int kNotReadingMs = 1000;

std::string BigEndian(std::uint32_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 0xff);
  return text;
}

// A string of fewer than 127 bytes, not Huffman coded (RFC 7541, section 5.2).
std::string HpackString(const std::string& text) { return static_cast<char>(text.size()) + text; }

}  // namespace

RawConnection::RawConnection(int port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    std::perror("connect");
    std::abort();
  }
}

RawConnection::~RawConnection() {
  if (socket_ >= 0) close(socket_);
}

RawConnection::RawConnection(RawConnection&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}

bool RawConnection::Send(const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t size = send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size > 0) {
      sent += static_cast<std::size_t>(size);
      continue;
    }
    pollfd room = {socket_, POLLOUT, 0};
    if (errno != EAGAIN || poll(&room, 1, kNotReadingMs) != 1) return false;
  }
  return true;
}

namespace http2 {

std::string Frame(FrameType type, int flags, std::uint32_t stream, const std::string& payload) {
  return absl::StrCat(BigEndian(static_cast<std::uint32_t>(payload.size()), 3), BigEndian(type, 1),
                      BigEndian(static_cast<std::uint32_t>(flags), 1), BigEndian(stream, 4), payload);
}

std::string Preface(std::uint32_t initial_window) {
  return absl::StrCat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                      Frame(kSettings, 0, 0, BigEndian(kInitialWindowSize, 2) + BigEndian(initial_window, 4)));
}

std::string CallHeaders(std::uint32_t stream, const std::string& method, const std::string& timeout) {
  // Indices of the static table (RFC 7541, appendix A): 3 POST, 6 http, 4 :path, 1 :authority, 31 content-type.
  std::string block = absl::StrCat("\x83\x86\x04", HpackString(method), "\x01", HpackString("localhost"), "\x0f\x10",
                                   HpackString("application/grpc"));
  const auto add = [&block](const std::string& name, const std::string& value) {
    block += std::string(1, '\0') + HpackString(name) + HpackString(value);
  };
  add("te", "trailers");
  if (!timeout.empty()) add("grpc-timeout", timeout);
  return Frame(kHeaders, kEndHeaders, stream, block);
}

std::string CallMessage(std::uint32_t stream, const std::string& message) {
  return Frame(kData, kEndStream, stream,
               absl::StrCat(BigEndian(0, 1), BigEndian(static_cast<std::uint32_t>(message.size()), 4), message));
}

std::string ResetStream(std::uint32_t stream) {
  constexpr std::uint32_t kCancel = 8;
  return Frame(kResetStream, 0, stream, BigEndian(kCancel, 4));
}

}  // namespace http2
}  // namespace heed
