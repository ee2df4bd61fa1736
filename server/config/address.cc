#include "server/config/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"

namespace heed {
namespace {

constexpr std::size_t kMaxHost = 253;  // of a name in the DNS
constexpr int kMaxPort = 65535;

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
}

bool IsName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxHost && std::all_of(name.begin(), name.end(), IsNameCharacter);
}

bool IsIpv6(absl::string_view text) {
  const std::size_t percent = text.find('%');
  if (percent != absl::string_view::npos && !IsName(text.substr(percent + 1))) return false;
  in6_addr address;
  return inet_pton(AF_INET6, std::string(text.substr(0, percent)).c_str(), &address) == 1;
}

bool IsPort(absl::string_view text) {
  if (text.empty() || text.size() > 5) return false;
  int port = 0;
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
    port = port * 10 + (c - '0');
  }
  return port <= kMaxPort;
}

}  // namespace

bool IsHostPort(absl::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos || !IsPort(address.substr(colon + 1))) return false;
  const absl::string_view host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') return IsIpv6(host.substr(1, host.size() - 2));
  return IsName(host);
}

}  // namespace heed
