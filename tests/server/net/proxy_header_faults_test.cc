// What fuzzing found in PROXY headers and address lists.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/net/proxy_header.h"

namespace heed {
namespace {

using namespace std::string_literals;

TEST(ProxyHeaderFaults, AnAddressThatANulCutsShortIsNone) {
  const auto read = ReadProxyHeader("PROXY TCP4 192.0.2.1\0evil 192.0.2.2 1 2\r\n"s);
  EXPECT_EQ(read.status().message(), "the PROXY header of version 1 has a NUL");
  // Of a proxy that speaks for itself the rest of the line is for nobody.
  EXPECT_EQ(ReadProxyHeader("PROXY UNKNOWN \0\r\n"s)->size, 17U);
}

TEST(ProxyHeaderFaults, AnAddressListIsRefusedInOneLine) {
  EXPECT_EQ(AddressSet::Parse("192.0.2.1,a\nb").status().message(),
            "\"a\\x0ab\" is no address such as 192.0.2.7, 10.0.0.0/8 or fd00::/8");
}

}  // namespace
}  // namespace heed
