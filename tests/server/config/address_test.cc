#include "server/config/address.h"

#include <gtest/gtest.h>

#include <string>

namespace heed {
namespace {

TEST(HostPort, IsANameOrAnAddressAndAPort) {
  for (const char* good : {"127.0.0.1:8500", "localhost:0", "heed.example.org:65535", "a_b-c:1", "0.0.0.0:00080",
                           "[::1]:8500", "[::]:0", "[fe80::1%eth0]:8500", "[::ffff:127.0.0.1]:1"}) {
    EXPECT_TRUE(IsHostPort(good)) << good;
  }
}

// Each was let through once, and became something else further on: another port, a second one, TLS.
TEST(HostPort, HasNothingElseInIt) {
  for (const char* bad :
       {"127.0.0.1:8500\n", "127.0.0.1:8500 ", " 127.0.0.1:8500", "127.0.0.1: 8500", "127.0.0.1:+8500",
        "127.0.0.1:0x50", "127.0.0.1:1,127.0.0.1:2", "127.0.0.1:9500,9501", "127.0.0.1:9500s", "a,b:1", "a b:1",
        "a\t:1", "a\x7f:1", "\xea\xb0\x80:1", "http://a:1", "a/b:1", "*:1"}) {
    EXPECT_FALSE(IsHostPort(bad)) << bad;
  }
  EXPECT_FALSE(IsHostPort(std::string("a\0b:1", 5)));
}

TEST(HostPort, LacksNothing) {
  for (const char* bad : {"", ":", "a", "a:", ":1", "8500", "[]:1", "[::1]", "[::1]:", "a:65536", "a:123456", "a:-1"}) {
    EXPECT_FALSE(IsHostPort(bad)) << bad;
  }
}

TEST(HostPort, Ipv6IsInBracketsAndInNothingElse) {
  for (const char* bad : {"::1:8500", "[::1:8500", "::1]:8500", "[127.0.0.1]:1", "[a]:1", "[::1%]:1", "[::1% ]:1",
                          "[::1]x:1", "[1:2:3]:1"}) {
    EXPECT_FALSE(IsHostPort(bad)) << bad;
  }
}

TEST(HostPort, NamesHaveTheLengthOfNames) {
  EXPECT_TRUE(IsHostPort(std::string(253, 'a') + ":1"));
  EXPECT_FALSE(IsHostPort(std::string(254, 'a') + ":1"));
}

}  // namespace
}  // namespace heed
