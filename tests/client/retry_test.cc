#include "client/retry.h"

#include <gtest/gtest.h>

namespace heed {
namespace {

using absl::Milliseconds;
using absl::StatusCode;

constexpr auto kGiveUp = std::nullopt;

struct RetryCase {
  std::string name;
  int attempts;
  Failure failure;
  double uniform;
  std::optional<absl::Duration> wait;
};

class NextWaitTable : public ::testing::TestWithParam<RetryCase> {};

TEST_P(NextWaitTable, Says) {
  const RetryCase& row = GetParam();
  EXPECT_EQ(NextWait(RetryOptions(), row.attempts, row.failure, row.uniform), row.wait);
}

INSTANTIATE_TEST_SUITE_P(
    Default, NextWaitTable,
    ::testing::Values(
        RetryCase{"UnavailableFirst", 1, {StatusCode::kUnavailable, {}}, 0, Milliseconds(100)},
        RetryCase{"UnavailableDoubles", 2, {StatusCode::kUnavailable, {}}, 0, Milliseconds(200)},
        RetryCase{"UnavailableDoublesAgain", 4, {StatusCode::kUnavailable, {}}, 0, Milliseconds(800)},
        RetryCase{"JitterShortens", 1, {StatusCode::kUnavailable, {}}, 0.5, Milliseconds(75)},
        RetryCase{"CancelledByAServerThatCloses", 2, {StatusCode::kCancelled, {}}, 0, Milliseconds(200)},
        RetryCase{"LastAttempt", 5, {StatusCode::kUnavailable, {}}, 0, kGiveUp},
        RetryCase{"ExhaustedWithoutPushback", 1, {StatusCode::kResourceExhausted, {}}, 0, kGiveUp},
        RetryCase{"ExhaustedWithPushback", 1, {StatusCode::kResourceExhausted, "250"}, 0, Milliseconds(250)},
        RetryCase{"PushbackIsALeastTime", 3, {StatusCode::kResourceExhausted, "200"}, 0.5, Milliseconds(250)},
        RetryCase{"PushbackOfZero", 1, {StatusCode::kResourceExhausted, "0"}, 0.5, Milliseconds(0)},
        RetryCase{"NegativePushback", 1, {StatusCode::kResourceExhausted, "-1"}, 0, kGiveUp},
        RetryCase{"NegativePushbackOfUnavailable", 1, {StatusCode::kUnavailable, "-1"}, 0, kGiveUp},
        RetryCase{"PushbackOfUnavailable", 1, {StatusCode::kUnavailable, "30"}, 0, Milliseconds(30)},
        RetryCase{"PushbackThatIsNoNumber", 1, {StatusCode::kResourceExhausted, "soon"}, 0, kGiveUp},
        RetryCase{"LastAttemptWithPushback", 5, {StatusCode::kResourceExhausted, "1"}, 0, kGiveUp},
        RetryCase{"InvalidArgument", 1, {StatusCode::kInvalidArgument, "1"}, 0, kGiveUp},
        RetryCase{"DeadlineExceeded", 1, {StatusCode::kDeadlineExceeded, {}}, 0, kGiveUp},
        RetryCase{"Internal", 1, {StatusCode::kInternal, {}}, 0, kGiveUp}),
    [](const auto& info) { return info.param.name; });

TEST(NextWait, GrowsToTheMostAndNoFurther) {
  RetryOptions options;
  options.max_attempts = 100;
  EXPECT_EQ(NextWait(options, 50, {StatusCode::kUnavailable, {}}, 0), absl::Seconds(2));
}

TEST(NextWait, OfOneAttemptIsNone) {
  RetryOptions options;
  options.max_attempts = 1;
  EXPECT_EQ(NextWait(options, 1, {StatusCode::kUnavailable, {}}, 0), kGiveUp);
}

}  // namespace
}  // namespace heed
