// Clients that go away, requests that run out of time, more work than fits, replies too large, and shutdown under load.
// docs/errors.md has a row for each kind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/integration/raw_http2.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"

namespace heed {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kVeryLong = 65536;  // target tokens: seconds of work for the slow model

const std::string& SlowModel() {
  static const auto* const folder = [] {
    auto* made = new TempFolder();
    WriteSlowModel(made->path());
    return made;
  }();
  return folder->path();
}

// One row at a time, and texts as long as anybody likes: a request of kVeryLong tokens keeps the server busy until it
// is cancelled.
std::unique_ptr<RunningServer> StartSlowServer(std::vector<std::string> flags = {}) {
  flags.insert(flags.begin(), {"--workers=1", "--max_rows=1", "--max_beam_size=1", "--max_target_tokens=65536",
                               "--default_reply_bytes=67108864"});
  return std::make_unique<RunningServer>(SlowModel(), flags);
}

constexpr char kCancelled[] = R"(heed_requests_total{code="CANCELLED",model="slow",rpc="Translate",version="1"})";

TEST(Clients, OneThatCancelsGetsCancelledAndFreesItsRows) {
  const auto server = StartSlowServer();
  const auto call = server->caller().StartTranslate(SlowRequest(4, kVeryLong));
  server->WaitForMetric("heed_live_segments", 1);
  server->WaitForMetric("heed_queue_segments", 3);
  EXPECT_EQ(server->Metric("heed_rows_in_use"), 1);
  call->Cancel();
  EXPECT_EQ(call->Wait().code, absl::StatusCode::kCancelled);
  server->WaitUntilIdle();
  EXPECT_EQ(server->Metric(kCancelled), 1);
}

TEST(Clients, OneThatVanishesFreesItsRows) {
  const auto server = StartSlowServer();
  {
    Process client(ClientProgram(), {"translate", "--address=" + server->address(), "--min_length=65535",
                                     "--max_length=65536", "하나", "둘", "셋"});
    server->WaitForMetric("heed_live_segments", 1);
    server->WaitForMetric("heed_queue_segments", 2);
    client.Signal(SIGKILL);
    EXPECT_EQ(client.Wait(), 128 + SIGKILL);
  }
  server->WaitUntilIdle();
  EXPECT_EQ(server->Metric(kCancelled), 1);
  EXPECT_TRUE(server->caller().Translate(SlowRequest(1, 5)).ok());
}

TEST(Deadlines, OneOfAMillisecondIsExceededAndFreesItsRows) {
  const auto server = StartSlowServer();
  EXPECT_TRUE(server->caller().Translate(SlowRequest(1, 5)).ok()) << "the connection is there";
  const TranslateAnswer answer = server->caller().Translate(SlowRequest(4, kVeryLong), absl::Milliseconds(1));
  // The client's clock and the server's run out together: on a busy machine the server's words may arrive first.
  EXPECT_THAT(answer.ToString(),
              AnyOf(Eq("DEADLINE_EXCEEDED: Deadline Exceeded"), StartsWith("DEADLINE_EXCEEDED: the deadline passed")));
  server->WaitUntilIdle();
  const Finished client = server->Heed(
      {"translate", "--timeout=1ms", "--min_length=65535", "--max_length=65536", "이 함수는 문자열을 돌려줍니다."});
  EXPECT_EQ(client.code, 7);
  EXPECT_THAT(client.err, StartsWith("heed: DEADLINE_EXCEEDED: "));
  EXPECT_EQ(client.out, "");
  server->WaitUntilIdle();
}

TEST(Deadlines, ACallWithoutOneGetsTheServersDefault) {
  const auto server = StartSlowServer({"--default_deadline=1s"});
  const auto call = server->caller().StartTranslate(SlowRequest(4, kVeryLong), absl::InfiniteDuration());
  EXPECT_THAT(call->Wait().ToString(),
              StartsWith("DEADLINE_EXCEEDED: the deadline passed while decoding: 0 of 4 segments were finished in "));
  server->WaitUntilIdle();
  EXPECT_EQ(server->Metric(R"(heed_requests_total{code="DEADLINE_EXCEEDED",model="slow",rpc="Translate",version="1"})"),
            1);
}

// Each segment's best hypothesis: why it ended, and how many tokens it has.
std::vector<std::pair<v1::FinishReason, int>> Ends(const v1::TranslateResponse& response) {
  std::vector<std::pair<v1::FinishReason, int>> ends;
  for (const v1::TextResult& result : response.results()) {
    for (const v1::Segment& segment : result.output().segments()) {
      for (const v1::Hypothesis& best : segment.hypotheses()) {
        ends.emplace_back(best.finish_reason(), best.tokens_size());
      }
    }
  }
  return ends;
}

TEST(TimeBudgets, WhatIsDecodedByThenIsTheAnswer) {
  const auto server = StartSlowServer();
  v1::TranslateRequest request = SlowRequest(2, kVeryLong);
  request.mutable_time_budget()->set_nanos(300000000);
  const TranslateAnswer answer = server->caller().Translate(request);
  ASSERT_TRUE(answer.ok()) << answer.ToString();
  const auto ends = Ends(answer.response);
  ASSERT_EQ(ends.size(), 2U);
  EXPECT_EQ(ends[0].first, v1::FINISH_REASON_TIME_BUDGET);
  EXPECT_LT(ends[0].second, kVeryLong);
  EXPECT_EQ(ends[1], std::make_pair(v1::FINISH_REASON_TIME_BUDGET, 0)) << "there is one row, which the first one has";
  server->WaitUntilIdle();
}

TEST(TimeBudgets, ARequestThatWaitsAllItsTimeGetsEmptyHypotheses) {
  const auto server = StartSlowServer();
  const auto running = server->caller().StartTranslate(SlowRequest(1, kVeryLong));
  server->WaitForMetric("heed_live_segments", 1);
  v1::TranslateRequest request = SlowRequest(1, 5);
  request.mutable_time_budget()->set_nanos(50000000);
  const TranslateAnswer answer = server->caller().Translate(request);
  ASSERT_TRUE(answer.ok()) << answer.ToString();
  EXPECT_THAT(Ends(answer.response), ElementsAre(std::make_pair(v1::FINISH_REASON_TIME_BUDGET, 0)));
  EXPECT_EQ(server->Metric("heed_live_segments"), 1);
  running->Cancel();
  server->WaitUntilIdle();
}

TEST(Overload, ADeadlineThatCannotBeMetIsRefusedAtOnceAndSaysWhenToTryAgain) {
  const auto server = StartSlowServer();
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(server->caller().Translate(SlowRequest(1, 1000)).ok());  // measured
  std::vector<std::unique_ptr<PendingTranslate>> before;
  for (int i = 0; i < 61; ++i) before.push_back(server->caller().StartTranslate(SlowRequest(1, kVeryLong)));
  server->WaitForMetric("heed_queue_segments", 60);
  const TranslateAnswer refused = server->caller().Translate(SlowRequest(1, 1000), absl::Milliseconds(300));
  EXPECT_THAT(
      refused.ToString(),
      AllOf(StartsWith("RESOURCE_EXHAUSTED: the deadline cannot be met: 60 segments wait and the predicted time "
                       "is "),
            HasSubstr("; the deadline leaves ")));
  EXPECT_EQ(refused.trailers.count("grpc-retry-pushback-ms"), 1U);
  EXPECT_EQ(server->Metric("heed_early_refusals_total"), 1);
  for (const auto& call : before) call->Cancel();
  server->WaitUntilIdle();
  EXPECT_TRUE(server->caller().Translate(SlowRequest(1, 1000), absl::Seconds(30)).ok());
}

TEST(Overload, AFullQueueSaysWhenToTryAgain) {
  const auto server = StartSlowServer({"--max_queue=1", "--max_segments=1", "--retry_pushback=1234ms"});
  const auto running = server->caller().StartTranslate(SlowRequest(1, kVeryLong));
  server->WaitForMetric("heed_live_segments", 1);
  const auto waiting = server->caller().StartTranslate(SlowRequest(1, kVeryLong));
  server->WaitForMetric("heed_queue_segments", 1);
  const TranslateAnswer refused = server->caller().Translate(SlowRequest(1, 5));
  EXPECT_EQ(refused.ToString(),
            "RESOURCE_EXHAUSTED: the queue is full: 1 segments wait and at most 1 may; this request has at least 1");
  EXPECT_EQ(refused.trailers.count("grpc-retry-pushback-ms"), 1U);
  if (refused.trailers.count("grpc-retry-pushback-ms") == 1) {
    EXPECT_EQ(refused.trailers.at("grpc-retry-pushback-ms"), "1234");
  }
  const Finished client = server->Heed({"translate", "--retries=0", "안녕"});
  EXPECT_EQ(client.code, 6);
  EXPECT_THAT(client.err, StartsWith("heed: RESOURCE_EXHAUSTED: "));
  running->Cancel();
  waiting->Cancel();
  server->WaitUntilIdle();
  EXPECT_TRUE(server->caller().Translate(SlowRequest(1, 5)).ok());
}

TEST(Overload, AClientThatIsToldToTryAgainGetsItsReplyOnceThereIsRoom) {
  const auto server = StartSlowServer({"--max_queue=1", "--max_segments=1", "--retry_pushback=20ms"});
  const auto running = server->caller().StartTranslate(SlowRequest(1, kVeryLong));
  server->WaitForMetric("heed_live_segments", 1);
  const auto waiting = server->caller().StartTranslate(SlowRequest(1, kVeryLong));
  server->WaitForMetric("heed_queue_segments", 1);
  Process client(ClientProgram(),
                 {"translate", "--address=" + server->address(), "--retries=1000", "--max_length=5", "안녕"});
  const std::string refusals =
      R"(heed_requests_total{code="RESOURCE_EXHAUSTED",model="slow",rpc="Translate",version="1"})";
  EXPECT_TRUE(WaitUntil([&] { return server->Metric(refusals) >= 2; })) << "it tries again";
  running->Cancel();
  waiting->Cancel();
  EXPECT_EQ(client.Wait(), 0) << client.error();
  EXPECT_NE(client.output(), "");
}

TEST(Overload, MoreConnectionsThanAllowedAreClosedAndTheOthersServed) {
  const auto server = StartSlowServer({"--max_connections=3"});
  EXPECT_TRUE(server->caller().Translate(SlowRequest(1, 5)).ok());
  {
    const RawConnection second(server->port()), third(server->port());
    server->WaitForMetric("heed_connections", 3);
    EXPECT_EQ(Caller(server->port()).Translate(SlowRequest(1, 5)).code, absl::StatusCode::kUnavailable);
    EXPECT_GE(server->Metric("heed_refused_connections_total"), 1);
    EXPECT_TRUE(server->caller().Translate(SlowRequest(1, 5)).ok());
  }
  server->WaitForMetric("heed_connections", 1);
  EXPECT_TRUE(Caller(server->port()).Translate(SlowRequest(1, 5)).ok());
  server->WaitUntilIdle();
}

TEST(Overload, MoreRequestsThanAllowedAreToldWhenToTryAgain) {
  const auto server = StartSlowServer({"--max_concurrent_requests=1"});
  const auto running = server->caller().StartTranslate(SlowRequest(1, kVeryLong));
  server->WaitForMetric("heed_live_segments", 1);
  const TranslateAnswer refused = server->caller().Translate(SlowRequest(1, 5));
  EXPECT_EQ(refused.ToString(),
            "RESOURCE_EXHAUSTED: 1 requests are in flight, as many as the server takes; try again later");
  EXPECT_EQ(refused.trailers.count("grpc-retry-pushback-ms"), 1U);
}

// Attention of n-best hypotheses over a sentence of many tokens.
v1::TranslateRequest LargeRequest(int words) {
  std::string text;
  for (int i = 0; i < words; ++i) text += "서버는 ";
  v1::TranslateRequest request = TranslateTexts({text});
  request.mutable_search()->set_beam_size(4);
  request.mutable_search()->set_n_best(4);
  request.mutable_search()->set_min_length(250);
  request.mutable_search()->set_max_length(300);
  request.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_WEIGHTS);
  request.mutable_attention()->add_components(v1::ATTENTION_COMPONENT_ENERGIES);
  return request;
}

TEST(ReplySize, AReplyThatCouldBeTooLargeIsRefusedWithWhatWouldHelp) {
  TempFolder models;
  WriteLuong(models.path(), "luong");
  RunningServer server(models.path());
  v1::TranslateRequest request = LargeRequest(125);
  const TranslateAnswer refused = server.caller().Translate(request);
  EXPECT_EQ(refused.code, absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message, StartsWith("the reply could take "));
  EXPECT_THAT(refused.message, HasSubstr(" bytes, over max_reply_bytes (4194304); ask for weights alone, or a "
                                         "lower max_length, or a lower n_best, or a higher max_reply_bytes (at most "
                                         "67108864)"));
  EXPECT_EQ(refused.trailers.count("grpc-retry-pushback-ms"), 0U) << "trying again cannot help";

  request.set_max_reply_bytes(64 << 20);
  const TranslateAnswer raised = Caller(server.port(), 65 << 20).Translate(request);
  ASSERT_TRUE(raised.ok()) << raised.ToString();
  EXPECT_GT(raised.response.ByteSizeLong(), 4U << 20) << "the test asks for too little";
  // The client raises its own limit together with the request's.
  const Finished client =
      server.Heed({"translate", "--beam_size=4", "--n_best=4", "--min_length=250", "--max_length=300", "--attention",
                   "--energies", "--output=json", "--max_reply_bytes=67108864", request.texts(0)});
  EXPECT_EQ(client.code, 0) << client.err;
}

TEST(ReplySize, WhatIsNotRefusedStaysWithin4MebibytesByDefault) {
  TempFolder models;
  WriteLuong(models.path(), "luong");
  RunningServer server(models.path());
  int answered = 0, refused = 0;
  for (int words = 10; words <= 125; words += 23) {
    // A client that has gRPC's default limit: a larger reply would be its RESOURCE_EXHAUSTED, without our words.
    const TranslateAnswer answer = server.caller().Translate(LargeRequest(words));
    if (answer.ok()) {
      EXPECT_LE(answer.response.ByteSizeLong(), 4U << 20);
      ++answered;
    } else {
      EXPECT_THAT(answer.message, HasSubstr("over max_reply_bytes (4194304)"));
      ++refused;
    }
  }
  EXPECT_GT(answered, 0);
  EXPECT_GT(refused, 0);
}

TEST(ReplySize, AReplyThatTurnsOutTooLargeIsRefusedToo) {
  TempFolder models;
  WriteLuong(models.path(), "luong");
  RunningServer server(models.path());
  // Far more is written than a translation of such a text takes.
  v1::TranslateRequest request = TranslateTexts(std::vector<std::string>(20, "서버는"));
  request.mutable_search()->set_min_length(500);
  request.mutable_search()->set_max_length(512);
  request.set_max_reply_bytes(100000);
  const TranslateAnswer answer = server.caller().Translate(request);
  EXPECT_EQ(answer.code, absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(answer.message, StartsWith("the reply takes more than "));
  EXPECT_THAT(answer.message, HasSubstr("over max_reply_bytes (100000)"));
}

// Target tokens that the slow model takes about a second for, on this machine as it is now.
int TokensOfASecond(RunningServer& server) {
  constexpr int kTokens = 1000;
  const absl::Time start = absl::Now();
  EXPECT_TRUE(server.caller().Translate(SlowRequest(1, kTokens)).ok());
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  return std::clamp(static_cast<int>(kTokens / seconds), 100, kVeryLong);
}

TEST(Shutdown, SigtermFinishesWhatWasAcceptedAndTakesNothingNew) {
  const auto server = StartSlowServer();
  const int tokens = TokensOfASecond(*server);
  const auto watch = server->caller().WatchHealth();
  EXPECT_EQ(watch->Next(), "SERVING");
  const auto running = server->caller().StartTranslate(SlowRequest(2, tokens));
  const auto waiting = server->caller().StartTranslate(SlowRequest(1, tokens));
  server->WaitForMetric("heed_live_segments", 1);
  server->WaitForMetric("heed_queue_segments", 2);
  server->process().Signal(SIGTERM);
  EXPECT_EQ(watch->Next(), "NOT_SERVING");
  EXPECT_EQ(server->caller().Health("heed.v1.TranslationService"), "NOT_SERVING");
  // Health turns before the gate shuts, so the very next call may still be let in.
  TranslateAnswer refused;
  WaitUntil([&] {
    refused = server->caller().Translate(SlowRequest(1, 1));
    return !refused.ok();
  });
  EXPECT_EQ(refused.ToString(), "UNAVAILABLE: the server is shutting down; try another one");
  EXPECT_EQ(refused.trailers.count("grpc-retry-pushback-ms"), 0U);
  EXPECT_EQ(running->Wait().ToString(), "OK: ");
  EXPECT_EQ(running->Wait().response.results_size(), 2);
  EXPECT_EQ(waiting->Wait().ToString(), "OK: ");
  EXPECT_EQ(server->process().Wait(), 0);
  EXPECT_EQ(server->Log().back().at("all_finished"), "true");
}

TEST(Shutdown, WhatDoesNotFinishInTheDrainTimeIsUnavailable) {
  const auto server = StartSlowServer({"--drain_time=50ms"});
  const auto running = server->caller().StartTranslate(SlowRequest(8, kVeryLong));
  server->WaitForMetric("heed_live_segments", 1);
  server->process().Signal(SIGTERM);
  EXPECT_EQ(running->Wait().code, absl::StatusCode::kUnavailable);
  EXPECT_EQ(server->process().Wait(), 1);
  EXPECT_EQ(server->Log().back().at("all_finished"), "false");
}

TEST(Shutdown, ASecondSigtermEndsAtOnce) {
  const auto server = StartSlowServer();
  const auto running = server->caller().StartTranslate(SlowRequest(8, kVeryLong));
  server->WaitForMetric("heed_live_segments", 1);
  server->process().Signal(SIGTERM);
  // The line is written when the next signal is listened for.
  EXPECT_TRUE(server->process().WaitForErrorLine(
      [](const std::string& line) { return ParseLogLine(line)["event"] == "draining"; }));
  const absl::Time second = absl::Now();
  server->process().Signal(SIGTERM);
  EXPECT_EQ(server->process().Wait(), 128 + SIGTERM);
  EXPECT_LT(absl::Now() - second, absl::Seconds(10)) << "the drain time is 30 s";
  EXPECT_EQ(running->Wait().code, absl::StatusCode::kUnavailable);
}

TEST(Shutdown, AnIdleServerStopsAtOnceOnSigint) {
  const auto server = StartSlowServer();
  const absl::Time start = absl::Now();
  server->process().Signal(SIGINT);
  EXPECT_EQ(server->process().Wait(), 0);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10)) << "the drain time is 30 s";
}

}  // namespace
}  // namespace heed
