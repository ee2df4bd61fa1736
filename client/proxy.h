// Which HTTP proxy a connection takes. gRPC reads grpc_proxy, else https_proxy, else http_proxy, and the hosts of
// no_grpc_proxy, else no_proxy; it would send loopback through the proxy too, where nobody can mean it.
//
// Plain functions, thread-safe.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heed {

struct Proxy {
  std::string variable;  // that names it, "https_proxy"
  std::string shown;     // its address without a password, "http://proxy:3128"
};

// Whether the target stays on this machine: 127.0.0.0/8, ::1, localhost, the unspecified address, a Unix socket.
bool IsLoopback(absl::string_view target);

// The proxy on the way to the target; none where gRPC would take none, and none for loopback. A no_proxy entry is a
// host's end ("example.com"), as gRPC has it, or, beyond that, "*", ".example.com" or 10.0.0.0/8.
std::optional<Proxy> ProxyFor(absl::string_view target);

// What an error says of it: " (by way of the proxy http://proxy:3128, which https_proxy names)".
std::string Describe(const Proxy& proxy);

}  // namespace heed
