// A client of HTTP/2 without a socket, on nghttp2, for tests of the edge: calls go in, bytes come out.
//
// Not thread-safe.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/edge/metadata.h"

namespace heed {

// A message in gRPC's frame.
std::string Framed(absl::string_view message, bool compressed = false);

class EdgeClient {
 public:
  struct Request {
    std::string path = "/test/Unary";
    std::string method = "POST";
    std::string content_type = "application/grpc";
    Metadata more;
    std::string data;  // as sent: see Framed
    bool ends = true;
  };
  struct Answer {
    std::map<std::string, std::string> headers;  // trailers too
    std::string data;
    bool closed = false;
    std::uint32_t error = 0;
    std::string status() const {
      const auto found = headers.find("grpc-status");
      return found == headers.end() ? "" : found->second;
    }
    std::string message() const {
      const auto found = headers.find("grpc-message");
      return found == headers.end() ? "" : found->second;
    }
  };

  // `takes`: windows open again by themselves; else Take opens them.
  explicit EdgeClient(bool takes = true);
  ~EdgeClient();
  EdgeClient(const EdgeClient&) = delete;
  EdgeClient& operator=(const EdgeClient&) = delete;

  // The stream's number.
  std::int32_t Call(const Request& request);
  void Send(std::int32_t stream, absl::string_view data, bool ends);
  void Reset(std::int32_t stream) { nghttp2_submit_rst_stream(http2_, 0, stream, NGHTTP2_CANCEL); }
  void Take(std::int32_t stream, std::size_t bytes) { nghttp2_session_consume(http2_, stream, bytes); }
  void Ping() { nghttp2_submit_ping(http2_, 0, nullptr); }
  void GoAway() { nghttp2_submit_goaway(http2_, 0, 0, NGHTTP2_NO_ERROR, nullptr, 0); }

  // Bytes for the server; empty: none now.
  std::string Produce();
  void Receive(absl::string_view bytes);

  // Of a call that was asked.
  const Answer& answer(std::int32_t stream) { return answers_[stream]; }
  int pings() const { return pings_; }
  // That it was told to go away with, in order.
  const std::vector<std::uint32_t>& goaways() const { return goaways_; }
  // That the server leaves it to send, of all calls together.
  int window() const { return nghttp2_session_get_remote_window_size(http2_); }

 private:
  struct Body {
    std::string left;
    bool ends = false;
  };
  nghttp2_session* http2_ = nullptr;
  std::map<std::int32_t, Body> bodies_;
  std::map<std::int32_t, Answer> answers_;
  int pings_ = 0;
  std::vector<std::uint32_t> goaways_;
};

}  // namespace heed
