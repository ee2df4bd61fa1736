#include "server/errors/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"

namespace heed {
namespace {

template <typename Detail>
Detail DetailOf(const absl::Status& status) {
  Detail detail;
  auto payload = status.GetPayload("type.googleapis.com/" + detail.GetDescriptor()->full_name());
  EXPECT_TRUE(payload.has_value() && detail.ParseFromString(std::string(*payload)));
  return detail;
}

TEST(Errors, AnInvalidFieldNamesFieldValueAndBoundForPeopleAndPrograms) {
  const absl::Status status = InvalidField("search.beam_size", "10000", "1 to 16");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "search.beam_size is 10000; it must be 1 to 16");
  const auto bad_request = DetailOf<google::rpc::BadRequest>(status);
  ASSERT_EQ(bad_request.field_violations_size(), 1);
  EXPECT_EQ(bad_request.field_violations(0).field(), "search.beam_size");
  EXPECT_EQ(bad_request.field_violations(0).description(), "is 10000; it must be 1 to 16");
  const auto info = DetailOf<google::rpc::ErrorInfo>(status);
  EXPECT_EQ(info.reason(), "INVALID_FIELD");
  EXPECT_EQ(info.domain(), "heed");
  EXPECT_EQ(info.metadata().at("field"), "search.beam_size");
  EXPECT_EQ(info.metadata().at("value"), "10000");
  EXPECT_EQ(info.metadata().at("bound"), "1 to 16");
}

TEST(Errors, OnlyAStatusMarkedForRetryHasADelay) {
  const absl::Status plain = ErrorWithInfo(absl::StatusCode::kResourceExhausted, "full", "FULL");
  EXPECT_FALSE(RetryDelay(plain).has_value());
  const absl::Status marked = WithRetryDelay(plain, absl::Milliseconds(250));
  EXPECT_EQ(RetryDelay(marked), absl::Milliseconds(250));
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(marked).reason(), "FULL");
}

TEST(Errors, QuotedTextIsEscapedAndShortenedOnACodePointBoundary) {
  EXPECT_EQ(Quoted("a\n\"b\""), "\"a\\n\\\"b\\\"\"");
  std::string korean;
  for (int i = 0; i < 40; ++i) korean += "가";  // 3 bytes each: 64 falls inside one
  std::string expected = "\"";
  for (int i = 0; i < 21; ++i) expected += "가";
  EXPECT_EQ(Quoted(korean), expected + "...\"");
}

TEST(Errors, ListsAreWordedAndBounded) {
  EXPECT_EQ(Listed({}), "none");
  EXPECT_EQ(Listed({"a"}), "a");
  EXPECT_EQ(Listed({"a", "b", "c"}), "a, b and c");
  EXPECT_EQ(Listed(std::vector<std::string>(30, "x")), "x, x, x, x, x, x, x, x, x, x and 20 more");
}

}  // namespace
}  // namespace heed
