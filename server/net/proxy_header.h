// The PROXY protocol, versions 1 and 2 (haproxy's doc/proxy-protocol.txt): what a proxy in front says of the client
// that it speaks for, before the client's own bytes.
//
// Thread-safe: plain functions and values.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heed {

struct ProxyHeader {
  std::size_t size = 0;  // bytes that the header takes; 0: more are needed to tell
  std::string address;   // the client's; empty: the proxy speaks for itself (LOCAL, UNKNOWN, a socket of another kind)
  int port = 0;
};

// The header at the start of `bytes`. INVALID_ARGUMENT: there is none, or it breaks the rules; never for bytes that
// may become one. A header is at most kMaxProxyHeader bytes.
inline constexpr std::size_t kMaxProxyHeader = 16 + 2048;
absl::StatusOr<ProxyHeader> ReadProxyHeader(absl::string_view bytes);

// Addresses that are believed: "10.0.0.0/8,2001:db8::/32,192.0.2.7".
class AddressSet {
 public:
  // INVALID_ARGUMENT: an entry that is no address with or without a prefix length.
  static absl::StatusOr<AddressSet> Parse(absl::string_view list);
  // IPv4 addresses that came as IPv6 (::ffff:192.0.2.7) are their own.
  bool Contains(const std::string& address) const;
  bool empty() const { return blocks_.empty(); }

 private:
  struct Block {
    std::string bytes;  // 4 or 16
    int prefix = 0;     // bits that count
  };
  std::vector<Block> blocks_;
};

}  // namespace heed
