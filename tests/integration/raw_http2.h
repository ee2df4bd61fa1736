// HTTP/2 by hand, for clients that break its rules or do as little as they like: bytes onto a socket, and frames as
// bytes (RFC 9113, section 6).
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <string>

namespace heed {

class RawConnection {
 public:
  // Connects to 127.0.0.1; aborts the test if it cannot. Nothing is ever read unless the test asks.
  explicit RawConnection(int port);
  ~RawConnection();
  RawConnection(RawConnection&& other) noexcept;
  RawConnection& operator=(RawConnection&&) = delete;

  // Sends all of it, as long as the server takes it; whether it did. False when the server closed the connection, or
  // when it reads no more and the buffers between are full.
  bool Send(const std::string& bytes);

 private:
  int socket_ = -1;
};

namespace http2 {

enum FrameType { kData = 0, kHeaders = 1, kResetStream = 3, kSettings = 4, kPing = 6, kWindowUpdate = 8 };
enum Flags { kEndStream = 1, kEndHeaders = 4 };
constexpr int kInitialWindowSize = 4;  // a setting

std::string Frame(FrameType type, int flags, std::uint32_t stream, const std::string& payload);
// What a client begins with, its one setting `initial_window`: how much it takes of each stream before it says more.
std::string Preface(std::uint32_t initial_window = 65535);
// The HEADERS of a gRPC call of `method`, "/heed.v1.TranslationService/Translate". `timeout` as gRPC writes it, "1S";
// empty: none.
std::string CallHeaders(std::uint32_t stream, const std::string& method, const std::string& timeout = "");
// Its message, which is all that the client will send.
std::string CallMessage(std::uint32_t stream, const std::string& message);
std::string ResetStream(std::uint32_t stream);

}  // namespace http2
}  // namespace heed
