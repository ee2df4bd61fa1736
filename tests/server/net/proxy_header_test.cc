#include "server/net/proxy_header.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace heed {
namespace {

constexpr char kSignature[] = "\r\n\r\n\0\r\nQUIT\n";

std::string Second(char command, char family, const std::string& body) {
  return std::string(kSignature, 12) + command + family + static_cast<char>(body.size() >> 8) +
         static_cast<char>(body.size()) + body;
}
std::string Ipv4Body() { return std::string("\xc0\x00\x02\x01\xc6\x33\x64\x01\x1f\x90\x00\x50", 12); }
std::string Ipv6Body(const char* first) { return std::string(first, 16) + std::string(16, '\1') + "\x1f\x90\x01\x01"; }
const char kIpv6[] = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1";
const char kMapped[] = "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1";

struct Good {
  const char* name;
  std::string bytes;
  std::string address;
  int port = 0;
};

class GoodHeaderTest : public ::testing::TestWithParam<Good> {};

TEST_P(GoodHeaderTest, IsReadAndWhatFollowsIsLeft) {
  const absl::StatusOr<ProxyHeader> header = ReadProxyHeader(GetParam().bytes + "PRI * HTTP/2.0\r\n\r\n");
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->size, GetParam().bytes.size());
  EXPECT_EQ(header->address, GetParam().address);
  EXPECT_EQ(header->port, GetParam().port);
}

TEST_P(GoodHeaderTest, EveryPartOfItMayBecomeOne) {
  for (std::size_t size = 0; size < GetParam().bytes.size(); ++size) {
    const absl::StatusOr<ProxyHeader> header = ReadProxyHeader(GetParam().bytes.substr(0, size));
    ASSERT_TRUE(header.ok()) << size << ": " << header.status();
    EXPECT_EQ(header->size, 0) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, GoodHeaderTest,
    ::testing::Values(
        Good{"FirstIpv4", "PROXY TCP4 192.0.2.1 198.51.100.1 8080 80\r\n", "192.0.2.1", 8080},
        Good{"FirstIpv6", "PROXY TCP6 2001:db8::1 2001:db8::2 8080 80\r\n", "2001:db8::1", 8080},
        Good{"FirstIpv6InCapitals", "PROXY TCP6 2001:DB8:0::1 2001:db8::2 8080 80\r\n", "2001:db8::1", 8080},
        Good{"FirstMapped", "PROXY TCP6 ::ffff:192.0.2.1 ::1 8080 80\r\n", "192.0.2.1", 8080},
        Good{"FirstLongest",
             absl::StrCat("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ",
                          "65535 65535\r\n"),
             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535},
        Good{"FirstUnknown", "PROXY UNKNOWN\r\n", ""},
        Good{"FirstUnknownWithMore", "PROXY UNKNOWN some words, up to 107 bytes in all\r\n", ""},
        Good{"SecondIpv4", Second('\x21', '\x11', Ipv4Body()), "192.0.2.1", 8080},
        Good{"SecondIpv6", Second('\x21', '\x21', Ipv6Body(kIpv6)), "2001:db8::1", 8080},
        Good{"SecondMapped", Second('\x21', '\x21', Ipv6Body(kMapped)), "192.0.2.1", 8080},
        Good{"SecondWithMore", Second('\x21', '\x11', Ipv4Body() + std::string(2036, 'x')), "192.0.2.1", 8080},
        Good{"SecondLocal", Second('\x20', '\0', ""), ""},
        Good{"SecondLocalWithAddress", Second('\x20', '\x11', Ipv4Body()), ""},
        Good{"SecondUnspecified", Second('\x21', '\0', ""), ""},
        Good{"SecondUnix", Second('\x21', '\x31', std::string(216, 'x')), ""}),
    [](const auto& each) { return std::string(each.param.name); });

TEST(ProxyHeader, WhatBreaksTheRulesIsNone) {
  for (const std::string& bytes :
       std::vector<std::string>{"GET / HTTP/1.1\r\n",
                                "PRI * HTTP/2.0\r\n",
                                "\x16\x03\x01",
                                "PROXX",
                                "proxy TCP4",
                                "PROXY TCP4 192.0.2.1 198.51.100.1 8080\r\n",
                                "PROXY TCP4 192.0.2.1 198.51.100.1 8080 80 80\r\n",
                                "PROXY TCP4  192.0.2.1 198.51.100.1 8080 80\r\n",
                                "PROXY TCP4 192.0.2.256 198.51.100.1 8080 80\r\n",
                                "PROXY TCP4 192.0.2.1 host 8080 80\r\n",
                                "PROXY TCP4 2001:db8::1 2001:db8::2 8080 80\r\n",
                                "PROXY TCP6 192.0.2.1 198.51.100.1 8080 80\r\n",
                                "PROXY TCP4 192.0.2.1 198.51.100.1 65536 80\r\n",
                                "PROXY TCP4 192.0.2.1 198.51.100.1 -1 80\r\n",
                                "PROXY TCP4 192.0.2.1 198.51.100.1 8080 x\r\n",
                                "PROXY UDP4 192.0.2.1 198.51.100.1 8080 80\r\n",
                                "PROXY \r\n",
                                "PROXY UNKNOWN " + std::string(93, 'x'),
                                "PROXY UNKNOWN " + std::string(92, 'x') + "\r\n",
                                std::string(kSignature, 11) + "x",
                                Second('\x11', '\x11', Ipv4Body()),
                                Second('\x22', '\x11', Ipv4Body()),
                                Second('\x21', '\x11', Ipv4Body().substr(0, 11)),
                                Second('\x21', '\x21', Ipv6Body(kIpv6).substr(0, 35)),
                                Second('\x21', '\x11', Ipv4Body() + std::string(2037, 'x'))}) {
    EXPECT_EQ(ReadProxyHeader(bytes).status().code(), absl::StatusCode::kInvalidArgument) << bytes;
  }
}

struct Membership {
  const char* list;
  const char* address;
  bool contained;
};

TEST(AddressSet, ContainsAddressesOfItsBlocks) {
  for (const Membership& each : std::vector<Membership>{{"", "192.0.2.1", false},
                                                        {"192.0.2.1", "192.0.2.1", true},
                                                        {"192.0.2.1", "192.0.2.2", false},
                                                        {"192.0.2.1,10.0.0.0/8", "10.255.0.1", true},
                                                        {"10.0.0.0/8", "11.0.0.1", false},
                                                        {"10.0.0.0/9", "10.127.255.255", true},
                                                        {"10.0.0.0/9", "10.128.0.0", false},
                                                        {"10.1.2.3/8", "10.3.2.1", true},
                                                        {"0.0.0.0/0", "203.0.113.9", true},
                                                        {"0.0.0.0/0", "2001:db8::1", false},
                                                        {"::/0", "2001:db8::1", true},
                                                        {"::/0", "203.0.113.9", false},
                                                        {"2001:db8::/33", "2001:db8:7fff::1", true},
                                                        {"2001:db8::/33", "2001:db8:8000::1", false},
                                                        {"192.0.2.7", "::ffff:192.0.2.7", true},
                                                        {"::ffff:192.0.2.7", "192.0.2.7", true},
                                                        {"192.0.2.1", "", false},
                                                        {"0.0.0.0/0", "host", false}}) {
    const absl::StatusOr<AddressSet> set = AddressSet::Parse(each.list);
    ASSERT_TRUE(set.ok()) << each.list;
    EXPECT_EQ(set->Contains(each.address), each.contained) << each.list << " and " << each.address;
  }
}

TEST(AddressSet, EntriesThatAreNoAddressesAreSaid) {
  for (const std::string& list : std::vector<std::string>{"host", "192.0.2.1/33", "192.0.2.1/-1", "192.0.2.1/",
                                                          "::/129", "192.0.2.1/x", "/8", "192.0.2.0/24/8", "192.0.2"}) {
    EXPECT_EQ(AddressSet::Parse(absl::StrCat("10.0.0.0/8,", list)).status().message(),
              absl::StrCat("\"", list, "\" is no address such as 192.0.2.7, 10.0.0.0/8 or fd00::/8"));
  }
}

}  // namespace
}  // namespace heed
