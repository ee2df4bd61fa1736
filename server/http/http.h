// A request and its answer as the pages of the HTTP listener see them, and what bounds both. Bytes are
// http_protocol.h's, sockets http_listener.h's.
//
// Plain values. A handler runs on the listener's thread, where all other connections wait for it: it must not block.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace heed {

struct HttpRequest {
  std::string path;   // "/metrics", not decoded
  std::string query;  // after "?"; empty: none
  // Header fields by name in lower case; the values of one that came repeatedly are joined with ", ".
  absl::flat_hash_map<std::string, std::string> fields;
  std::string body;

  // Empty where there is none.
  absl::string_view Field(absl::string_view name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? absl::string_view() : absl::string_view(found->second);
  }
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;  // sent compressed where that pays and the client takes it
  // Further header fields, without Content-Length, Content-Encoding, Connection and Date.
  std::vector<std::pair<std::string, std::string>> fields;
};

using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;
// By path. Each answers GET and HEAD; other methods are not allowed.
using HttpRoutes = absl::flat_hash_map<std::string, HttpHandler>;

struct HttpLimits {
  std::size_t max_header_bytes = 16 << 10;          // of a request line and its header fields together
  std::size_t max_body_bytes = 64 << 10;            // of a request
  absl::Duration request_time = absl::Seconds(10);  // for a whole request to come, and for its answer to be taken
  absl::Duration idle_time = absl::Seconds(150);    // for the next request of a connection to begin
};

}  // namespace heed
