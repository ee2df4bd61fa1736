#include "server/net/proxy_header.h"

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/quote.h"

namespace heed {
namespace {

constexpr absl::string_view kFirst("PROXY ", 6);
constexpr absl::string_view kSecond("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kMaxFirst = 107;  // with its CR LF

absl::Status Broken(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("the PROXY header ", what));
}

// The address's 4 or 16 bytes; empty: none.
std::string AddressBytes(const std::string& text) {
  std::array<char, 16> bytes = {};
  if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return std::string(bytes.data(), 4);
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) return "";
  const std::string all(bytes.data(), 16);
  static const std::string* const mapped = new std::string("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  return all.compare(0, 12, *mapped) == 0 ? all.substr(12) : all;
}

// Of 4 or 16 bytes; IPv4 that came as IPv6 is IPv4, as everywhere.
std::string AddressText(absl::string_view bytes) {
  static constexpr absl::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  if (bytes.size() == 16 && bytes.substr(0, 12) == kMapped) bytes.remove_prefix(12);
  const int family = bytes.size() == 4 ? AF_INET : AF_INET6;
  std::array<char, INET6_ADDRSTRLEN> text = {};
  return inet_ntop(family, bytes.data(), text.data(), text.size()) == nullptr ? "" : std::string(text.data());
}

int BigEndian16(absl::string_view bytes) {
  return static_cast<unsigned char>(bytes[0]) << 8 | static_cast<unsigned char>(bytes[1]);
}

absl::StatusOr<ProxyHeader> ReadFirst(absl::string_view bytes) {
  const std::size_t end = bytes.substr(0, kMaxFirst).find("\r\n");
  if (end == absl::string_view::npos) {
    if (bytes.size() >= kMaxFirst) return Broken("of version 1 does not end within 107 bytes");
    return ProxyHeader();
  }
  ProxyHeader header;
  header.size = end + 2;
  const absl::string_view line = bytes.substr(0, end);
  const std::vector<std::string> words = absl::StrSplit(line, ' ');
  if (words.size() >= 2 && words[1] == "UNKNOWN") return header;
  if (line.find('\0') != absl::string_view::npos)
    return Broken("of version 1 has a NUL");  // an address would end there
  const std::size_t size = words.size() == 6 ? (words[1] == "TCP4" ? 4 : words[1] == "TCP6" ? 16 : 0) : 0;
  std::array<char, 16> own = {};
  std::array<char, 16> ignored = {};
  const int family = size == 4 ? AF_INET : AF_INET6;
  int port = 0;
  int own_port = 0;
  if (size == 0 || inet_pton(family, words[2].c_str(), own.data()) != 1 ||
      inet_pton(family, words[3].c_str(), ignored.data()) != 1 || !absl::SimpleAtoi(words[4], &port) ||
      !absl::SimpleAtoi(words[5], &own_port) || port < 0 || port > 65535 || own_port < 0 || own_port > 65535) {
    return Broken("of version 1 is none of TCP4, TCP6 and UNKNOWN with addresses and ports");
  }
  // One address is written one way, so that it is counted as one.
  header.address = AddressText(absl::string_view(own.data(), size));
  header.port = port;
  return header;
}

absl::StatusOr<ProxyHeader> ReadSecond(absl::string_view bytes) {
  if (bytes.size() < 16) return ProxyHeader();
  const auto version_and_command = static_cast<unsigned char>(bytes[12]);
  const auto family = static_cast<unsigned char>(bytes[13]);
  const auto length = static_cast<std::size_t>(BigEndian16(bytes.substr(14)));
  if (version_and_command != 0x20 && version_and_command != 0x21) return Broken("has no version or command known");
  if (16 + length > kMaxProxyHeader) return Broken(absl::StrCat("has ", length, " bytes; at most 2048 are taken"));
  if (bytes.size() < 16 + length) return ProxyHeader();
  ProxyHeader header;
  header.size = 16 + length;
  if (version_and_command == 0x20) return header;  // LOCAL
  const absl::string_view body = bytes.substr(16, length);
  if (family == 0x11) {  // TCP over IPv4
    if (length < 12) return Broken("is too short for its addresses");
    header.address = AddressText(body.substr(0, 4));
    header.port = BigEndian16(body.substr(8));
  } else if (family == 0x21) {  // TCP over IPv6
    if (length < 36) return Broken("is too short for its addresses");
    header.address = AddressText(body.substr(0, 16));
    header.port = BigEndian16(body.substr(32));
  }
  return header;
}

}  // namespace

absl::StatusOr<ProxyHeader> ReadProxyHeader(absl::string_view bytes) {
  const auto begins = [bytes](absl::string_view word) {
    const std::size_t size = std::min(bytes.size(), word.size());
    return bytes.substr(0, size) == word.substr(0, size);
  };
  if (begins(kFirst)) return bytes.size() < kFirst.size() ? ProxyHeader() : ReadFirst(bytes);
  if (begins(kSecond)) return bytes.size() < kSecond.size() ? ProxyHeader() : ReadSecond(bytes);
  return Broken("is missing");
}

absl::StatusOr<AddressSet> AddressSet::Parse(absl::string_view list) {
  AddressSet set;
  for (absl::string_view entry : absl::StrSplit(list, ',', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(entry, absl::MaxSplits('/', 1));
    Block block;
    block.bytes = AddressBytes(std::string(parts.first));
    block.prefix = static_cast<int>(8 * block.bytes.size());
    const int most = block.prefix;
    if (block.bytes.empty() ||
        (entry.find('/') != absl::string_view::npos &&
         (!absl::SimpleAtoi(parts.second, &block.prefix) || block.prefix < 0 || block.prefix > most))) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quote(entry), " is no address such as 192.0.2.7, 10.0.0.0/8 or fd00::/8"));
    }
    set.blocks_.push_back(std::move(block));
  }
  return set;
}

bool AddressSet::Contains(const std::string& address) const {
  const std::string bytes = AddressBytes(address);
  for (const Block& block : blocks_) {
    if (bytes.size() != block.bytes.size()) continue;
    int bit = 0;
    while (bit < block.prefix) {
      const auto differ = static_cast<unsigned char>(bytes[static_cast<std::size_t>(bit / 8)] ^
                                                     block.bytes[static_cast<std::size_t>(bit / 8)]);
      if ((differ >> (7 - bit % 8) & 1) != 0) break;
      ++bit;
    }
    if (bit == block.prefix) return true;
  }
  return false;
}

}  // namespace heed
