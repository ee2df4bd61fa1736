#include "server/edge/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/time/clock.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

struct Time {
  const char* text;
  std::optional<absl::Duration> duration;
};

TEST(ParseTimeout, KnowsEveryUnitAndNothingElse) {
  for (const Time& time : std::vector<Time>{{"1H", absl::Hours(1)},
                                            {"2M", absl::Minutes(2)},
                                            {"3S", absl::Seconds(3)},
                                            {"4m", absl::Milliseconds(4)},
                                            {"5u", absl::Microseconds(5)},
                                            {"6n", absl::Nanoseconds(6)},
                                            {"0S", absl::ZeroDuration()},
                                            {"00000001S", absl::Seconds(1)},
                                            {"99999999H", absl::Hours(99999999)},
                                            {"100000000n", std::nullopt},
                                            {"", std::nullopt},
                                            {"S", std::nullopt},
                                            {"5", std::nullopt},
                                            {"5s", std::nullopt},
                                            {"5 S", std::nullopt},
                                            {" 5S", std::nullopt},
                                            {"-5S", std::nullopt},
                                            {"+5S", std::nullopt},
                                            {"5.0S", std::nullopt},
                                            {"0x5S", std::nullopt},
                                            {"5SS", std::nullopt}}) {
    EXPECT_EQ(ParseTimeout(time.text), time.duration) << time.text;
  }
}

TEST(ParseTimeout, TheLongestIsStillInTheFuture) { EXPECT_GT(absl::Now() + *ParseTimeout("99999999H"), absl::Now()); }

TEST(HeadReader, SortsWhatIsHttpsAndGrpcsFromTheCallers) {
  HeadReader reader(8192);
  for (const auto& [name, value] : Metadata{{":method", "POST"},
                                            {":scheme", "http"},
                                            {":path", "/a.B/C"},
                                            {":authority", "host"},
                                            {"te", "trailers"},
                                            {"content-type", "application/grpc+proto"},
                                            {"user-agent", "grpc-c++"},
                                            {"grpc-encoding", "deflate"},
                                            {"grpc-accept-encoding", "identity,deflate, gzip"},
                                            {"grpc-timeout", "2S"},
                                            {"grpc-previous-rpc-attempts", "1"},
                                            {"x-a", "1"},
                                            {"x-a", ""},
                                            {"x_b.c-0", "two words"},
                                            {"x-bin", "AAE=, AAE,"}}) {
    reader.Add(name, value);
  }
  ASSERT_TRUE(reader.Finish().ok()) << reader.Finish();
  const RequestHead& head = reader.head();
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.path, "/a.B/C");
  EXPECT_EQ(head.content_type, "application/grpc+proto");
  EXPECT_EQ(head.encoding, Encoding::kGzip);
  EXPECT_TRUE(head.takes_gzip);
  EXPECT_EQ(head.timeout, absl::Seconds(2));
  const std::string bytes("\0\1", 2);
  EXPECT_THAT(head.metadata, ElementsAre(Pair("x-a", "1"), Pair("x-a", ""), Pair("x_b.c-0", "two words"),
                                         Pair("x-bin", bytes), Pair("x-bin", bytes), Pair("x-bin", "")));
}

TEST(HeadReader, NamesAndValuesThatAreNotValidAreInvalid) {
  for (const auto& [name, value] :
       Metadata{{"", "1"},         {"X", "1"},         {"x y", "1"},          {"x:", "1"},
                {":", "1"},        {"::path", "1"},    {"x\n", "1"},          {std::string("x\0", 2), "1"},
                {"\xc3\xa4", "1"}, {"x", "\t"},        {"x", "a\nb"},         {"x", std::string("\0", 1)},
                {"x", "\x7f"},     {"x", "\xc3\xa4"},  {":path", "/\x01"},    {"x-bin", "a"},
                {"x-bin", "a*=="}, {"x-bin", "AAE,*"}, {"grpc-timeout", "1"}, {"grpc-timeout", ""}}) {
    HeadReader reader(8192);
    reader.Add(name, value);
    reader.Add("x-good", "1");
    EXPECT_EQ(reader.Finish().code(), absl::StatusCode::kInvalidArgument) << name << ": " << value;
    for (const char c : reader.Finish().message()) EXPECT_TRUE(c >= ' ' && c <= '~') << "one printable line";
  }
}

TEST(HeadReader, TheBoundIsOfNamesAndValuesAnd32MoreForEach) {
  HeadReader at(200);
  at.Add("abc", std::string(100 - 32 - 3, 'x'));
  at.Add("abc", std::string(100 - 32 - 3, 'x'));
  EXPECT_TRUE(at.Finish().ok());
  at.Add("", "");
  EXPECT_EQ(at.Finish().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(at.Finish().message()), HasSubstr("takes 232 bytes"));
  EXPECT_EQ(at.head().metadata.size(), 2) << "what is over is not kept";
}

TEST(HeadReader, TooMuchIsSaidBeforeWhatIsNotValid) {
  HeadReader reader(200);
  reader.Add("X", "1");
  reader.Add("x", std::string(200, 'x'));
  EXPECT_EQ(reader.Finish().code(), absl::StatusCode::kResourceExhausted);
}

TEST(HeadReader, OtherEncodingsAreKnownToBeUnknown) {
  HeadReader reader(200);
  reader.Add("grpc-encoding", "snappy");
  ASSERT_TRUE(reader.Finish().ok());
  EXPECT_EQ(reader.head().encoding, Encoding::kUnknown);
  EXPECT_EQ(reader.head().encoding_name, "snappy");
  EXPECT_FALSE(reader.head().takes_gzip);
}

TEST(EncodeMessage, PercentEncodesAllButPrintableAscii) {
  EXPECT_EQ(EncodeMessage("plain ~!"), "plain ~!");
  EXPECT_EQ(EncodeMessage("100%\n\xc3\xa4\x7f"), "100%25%0A%C3%A4%7F");
  EXPECT_EQ(EncodeMessage(std::string("\0", 1)), "%00");
}

TEST(EncodeValue, OnlyBytesAreBase64) {
  EXPECT_EQ(EncodeValue("x", "a b"), "a b");
  EXPECT_EQ(EncodeValue("x-bin", "a"), "YQ");
  EXPECT_EQ(EncodeValue("x-bin", "abc"), "YWJj");
  EXPECT_EQ(EncodeValue("x-bin", ""), "");
}

}  // namespace
}  // namespace heed
