// A PROXY header as it comes, byte by byte, and a list of addresses that are believed. What is read of a header does
// not depend on how much of it came at once, and an address is one.
//
// An input: the address list, a part; the rest is the header and what follows it.
#include <cctype>
#include <string>

#include "server/net/proxy_header.h"
#include "tests/fuzz/fuzz.h"

namespace heed::fuzz {
namespace {

void RequireAddress(const ProxyHeader& header) {
  Require(header.port >= 0 && header.port <= 65535, "a port is one");
  Require(header.address.size() <= 45, "an address has a bounded size", header.address);
  for (const char c : header.address) {
    Require(std::isxdigit(static_cast<unsigned char>(c)) != 0 || c == '.' || c == ':', "an address is one",
            header.address);
  }
}

// Reads what has come after each further byte, as a connection does. Whether there is a header.
bool ReadAsItComes(const std::string& bytes, ProxyHeader* header) {
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const auto read = ReadProxyHeader(absl::string_view(bytes).substr(0, size));
    RequireOneLine(read.status());
    if (!read.ok()) {
      Require(!ReadProxyHeader(bytes).ok(), "what breaks the rules still does so when more has come");
      return false;
    }
    if (read->size == 0) {
      Require(size < kMaxProxyHeader, "a header ends within its bound");
      continue;
    }
    Require(read->size == size, "a header is there with its last byte");
    *header = *read;
    return true;
  }
  return false;
}

void Try(Input input) {
  const auto believed = AddressSet::Parse(input.Part());
  RequireOneLine(believed.status(), 100000);
  const std::string bytes = input.Rest();
  ProxyHeader header;
  if (!ReadAsItComes(bytes, &header)) return;
  RequireAddress(header);
  const auto whole = ReadProxyHeader(bytes);
  Require(whole.ok() && whole->size == header.size && whole->address == header.address && whole->port == header.port,
          "a header is the same with what follows it");
  if (believed.ok()) believed->Contains(header.address);
}

}  // namespace
}  // namespace heed::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  heed::fuzz::Try(heed::fuzz::Input(data, size));
  return 0;
}
