#include "client/proxy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace heed {
namespace {

// The first of the variables that is set; empty: none.
std::pair<std::string, std::string> FirstSet(std::initializer_list<const char*> names) {
  for (const char* const name : names) {
    const char* const value = std::getenv(name);
    if (value != nullptr) return {name, value};
  }
  return {};
}

// "dns:///h:1" is h:1, "ipv4:1.2.3.4:1,5.6.7.8:1" both. Of dns an authority, the name server, may stand before.
std::vector<std::string> AddressesOf(absl::string_view target) {
  for (const absl::string_view scheme : {"dns:", "ipv4:", "ipv6:"}) {
    if (!absl::ConsumePrefix(&target, scheme)) continue;
    if (absl::ConsumePrefix(&target, "//")) target.remove_prefix(std::min(target.find('/') + 1, target.size()));
    break;
  }
  return absl::StrSplit(target, ',');
}

// Without the port and the brackets.
std::string HostOf(absl::string_view address) {
  if (absl::ConsumePrefix(&address, "[")) return std::string(address.substr(0, address.find(']')));
  // An IPv6 address without brackets has no port.
  return std::string(std::count(address.begin(), address.end(), ':') == 1 ? address.substr(0, address.find(':'))
                                                                          : address);
}

std::optional<std::uint32_t> Ipv4(const std::string& host) {
  in_addr four;
  if (inet_aton(host.c_str(), &four) == 0) return std::nullopt;
  return ntohl(four.s_addr);
}

bool IsLoopbackHost(std::string host) {
  if (const auto four = Ipv4(host)) return *four >> 24 == 127 || *four == 0;
  in6_addr six;
  if (inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &six) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_UNSPECIFIED(&six) ||
           (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
  }
  if (absl::EndsWith(host, ".")) host.pop_back();
  return absl::EqualsIgnoreCase(host, "localhost") || absl::EndsWithIgnoreCase(host, ".localhost") ||
         absl::EqualsIgnoreCase(host, "ip6-localhost");
}

bool Matches(const std::string& host, absl::string_view entry) {
  entry = absl::StripAsciiWhitespace(entry);
  if (entry.empty()) return false;
  if (entry == "*" || absl::EndsWithIgnoreCase(host, entry)) return true;
  if (entry.front() == '.' && absl::EqualsIgnoreCase(host, entry.substr(1))) return true;
  const std::pair<std::string, std::string> network = absl::StrSplit(entry, absl::MaxSplits('/', 1));
  const auto address = Ipv4(host), base = Ipv4(network.first);
  unsigned bits = 0;
  if (!address || !base || !absl::SimpleAtoi(network.second, &bits) || bits > 32) return false;
  return bits == 0 || (*address ^ *base) >> (32 - bits) == 0;
}

// Without what a name and password would be.
std::string WithoutPassword(const std::string& url) {
  const std::size_t begin = url.find("//") + 2, at = url.rfind('@');
  return at == std::string::npos || at < begin ? url : url.substr(0, begin) + url.substr(at + 1);
}

}  // namespace

bool IsLoopback(absl::string_view target) {
  if (absl::StartsWith(target, "unix:") || absl::StartsWith(target, "unix-abstract:")) return true;
  const std::vector<std::string> addresses = AddressesOf(target);
  return std::all_of(addresses.begin(), addresses.end(),
                     [](const std::string& address) { return IsLoopbackHost(HostOf(address)); });
}

std::optional<Proxy> ProxyFor(absl::string_view target) {
  const auto [variable, url] = FirstSet({"grpc_proxy", "https_proxy", "http_proxy"});
  // gRPC takes no other scheme, and goes without a proxy then.
  if (!absl::StartsWithIgnoreCase(url, "http://") || IsLoopback(target)) return std::nullopt;
  const std::string host = HostOf(AddressesOf(target).front());
  for (const absl::string_view entry : absl::StrSplit(FirstSet({"no_grpc_proxy", "no_proxy"}).second, ',')) {
    if (Matches(host, entry)) return std::nullopt;
  }
  return Proxy{variable, WithoutPassword(url)};
}

std::string Describe(const Proxy& proxy) {
  return absl::StrCat(" (by way of the proxy ", proxy.shown, ", which ", proxy.variable, " names)");
}

}  // namespace heed
