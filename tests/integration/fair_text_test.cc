// Requests of megabytes beside small ones: text work is done in turn, so the small do not wait for the large.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"

namespace heed {
namespace {

// Texts that take long to tokenise, and are then one segment of too many tokens each: answered without decoding.
v1::TranslateRequest OfMegabytes() { return TranslateTexts(std::vector<std::string>(60, std::string(65000, 'a'))); }

// 1.5 KB of sentences.
v1::TranslateRequest Small() {
  std::string text;
  while (text.size() < 1500) text += "서버는 요청을 받아 응답을 돌려줍니다. ";
  return TranslateTexts({text});
}

absl::Duration TimeOf(Caller* caller, const v1::TranslateRequest& request) {
  const absl::Time begin = absl::Now();
  const TranslateAnswer answer = caller->Translate(request);
  EXPECT_TRUE(answer.ok()) << answer.ToString();
  return absl::Now() - begin;
}

TEST(FairText, SmallRequestsDoNotWaitForThoseOfMegabytes) {
  TempFolder models;
  WriteLuong(models.path(), "luong");
  RunningServer server(models.path(), {"--workers=1"});
  Caller small(server.port());
  ASSERT_TRUE(small.Connect());
  absl::Duration alone = absl::InfiniteDuration();
  for (int i = 0; i < 3; ++i) alone = std::min(alone, TimeOf(&small, Small()));
  const absl::Duration large_alone = TimeOf(&server.caller(), OfMegabytes());

  constexpr int kLarge = 20;
  const v1::TranslateRequest large = OfMegabytes();
  // A connection may not hold as many.
  Caller one(server.port()), two(server.port());
  std::vector<std::unique_ptr<PendingTranslate>> calls;
  for (int i = 0; i < kLarge; ++i) calls.push_back((i % 2 == 0 ? one : two).StartTranslate(large));
  server.WaitForMetric("heed_requests_in_flight", kLarge);
  absl::Duration beside = absl::ZeroDuration();
  for (int i = 0; i < 5; ++i) beside = std::max(beside, TimeOf(&small, Small()));
  RecordProperty("alone_ms", absl::StrCat(absl::ToInt64Milliseconds(alone)));
  RecordProperty("large_alone_ms", absl::StrCat(absl::ToInt64Milliseconds(large_alone)));
  RecordProperty("beside_ms", absl::StrCat(absl::ToInt64Milliseconds(beside)));
  EXPECT_GT(server.Metric("heed_requests_in_flight"), kLarge / 2) << "the large ones had not been answered yet";
  EXPECT_LT(beside, alone + large_alone * (kLarge / 4)) << "five of them did not wait for a quarter of the large ones";
  for (auto& call : calls) EXPECT_TRUE(call->Wait().ok()) << call->Wait().ToString();
}

// A connection has room for some of them at a time; the others wait in its client, and none is refused.
TEST(FairText, SixtyOfMegabytesOnOneConnectionAreAllAnswered) {
  TempFolder models;
  WriteLuong(models.path(), "luong");
  RunningServer server(models.path(), {"--workers=1"});
  Caller small(server.port());
  ASSERT_TRUE(small.Connect());
  // Of texts that are refused by their size alone, so that the way here is what is looked at.
  const v1::TranslateRequest large = TranslateTexts(std::vector<std::string>(10, std::string(400'000, 'a')));
  std::vector<std::unique_ptr<PendingTranslate>> calls;
  for (int i = 0; i < 60; ++i) calls.push_back(server.caller().StartTranslate(large));
  EXPECT_TRUE(small.Translate(Small()).ok());
  for (auto& call : calls) EXPECT_TRUE(call->Wait().ok()) << call->Wait().ToString();
  EXPECT_EQ(server.Metric("heed_refused_calls_total{reason=\"message_bytes\"}"), 0);
  server.WaitForMetric("heed_transport_bytes", 0);
}

}  // namespace
}  // namespace heed
