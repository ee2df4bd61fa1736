// The parts of `heed bench`: histogram, arrivals, recorder, mix, rate search, plot, and the generator against a server
// in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "client/bench/load.h"
#include "client/bench/prepare.h"
#include "client/bench/print.h"
#include "client/bench/rate_search.h"
#include "tests/client/fake_server.h"

namespace heed::bench {
namespace {

using ::testing::HasSubstr;

absl::Duration Ms(double ms) { return absl::Milliseconds(ms); }

TEST(HistogramTest, PercentilesAreWithinOnePercentOfTheExactOnes) {
  std::mt19937 random(1);
  std::lognormal_distribution<double> milliseconds(2, 2);
  Histogram halves[2];
  std::vector<double> exact;
  for (int i = 0; i < 20001; ++i) {
    exact.push_back(milliseconds(random));
    halves[i % 2].Add(Ms(exact.back()));
  }
  Histogram all;
  all.Merge(halves[0]);
  all.Merge(halves[1]);
  std::sort(exact.begin(), exact.end());
  for (double percent : {0.0, 1.0, 50.0, 90.0, 97.0, 99.9, 100.0}) {
    const auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(percent / 100 * 20001)));
    const double got = absl::ToDoubleMilliseconds(all.Percentile(percent));
    EXPECT_GE(got, exact[rank - 1] * 0.99999) << percent;
    EXPECT_LE(got, exact[rank - 1] * 1.01) << percent;
  }
  EXPECT_EQ(all.count(), 20001);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(all.max()), exact.back(), exact.back() * 1e-6);
}

TEST(HistogramTest, EdgesAreKept) {
  Histogram histogram;
  EXPECT_EQ(histogram.Percentile(50), absl::ZeroDuration());
  histogram.Add(absl::Seconds(-1));
  histogram.Add(absl::InfiniteDuration());
  EXPECT_EQ(histogram.Percentile(50), absl::ZeroDuration());
  EXPECT_EQ(histogram.Percentile(100), absl::Hours(1));
  for (std::int64_t ns : {1, 127, 128, 255, 256, 257, 511, 512}) {
    Histogram one;
    one.Add(absl::Nanoseconds(ns));
    EXPECT_EQ(one.Percentile(50), absl::Nanoseconds(ns)) << "the only value is the greatest";
  }
}

TEST(ArrivalsTest, PoissonHasItsRateAndIsTheSameForASeed) {
  Arrivals arrivals = Arrivals::Poisson(50, 7), same = Arrivals::Poisson(50, 7), other = Arrivals::Poisson(50, 8);
  EXPECT_NE(other.Next(), Arrivals::Poisson(50, 7).Next());
  absl::Duration last;
  double squares = 0;
  for (int i = 0; i < 10000; ++i) {
    const absl::Duration next = *arrivals.Next();
    EXPECT_EQ(next, *same.Next());
    const double gap = absl::ToDoubleSeconds(next - last);
    EXPECT_GE(gap, 0);
    squares += gap * gap;
    last = next;
  }
  EXPECT_NEAR(absl::ToDoubleSeconds(last) / 10000, 0.02, 0.001);
  EXPECT_NEAR(squares / 10000, 2 * 0.02 * 0.02, 1e-4)
      << "of an exponential gap the mean square is twice the squared mean";
}

TEST(ArrivalsTest, ConstantAndRecorded) {
  Arrivals constant = Arrivals::Constant(4);
  EXPECT_EQ(*constant.Next(), absl::ZeroDuration());
  EXPECT_EQ(*constant.Next(), Ms(250));
  const auto times = ParseArrivals("0\n0.5\n0.5\n2\n");
  ASSERT_TRUE(times.ok()) << times.status();
  Arrivals recorded = Arrivals::Recorded(*times);
  for (double seconds : {0.0, 0.5, 0.5, 2.0}) EXPECT_EQ(*recorded.Next(), absl::Seconds(seconds));
  EXPECT_EQ(recorded.Next(), std::nullopt);
  for (const auto& [text, message] : std::map<std::string, std::string>{{"", "no times"},
                                                                        {"1\n0.5", "line 2 is earlier"},
                                                                        {"1\nx", "line 2 is no time"},
                                                                        {"-1", "line 1 is no time"},
                                                                        {"nan", "line 1 is no time"}}) {
    EXPECT_THAT(std::string(ParseArrivals(text).status().message()), HasSubstr(message)) << text;
  }
}

TEST(RecorderTest, LatencyCountsFromWhenARequestWasDue) {
  Recorder recorder({.warmup = absl::Seconds(1), .interval = absl::Seconds(1), .late = Ms(1)});
  const auto add = [&](double due, double sent, double ended, absl::StatusCode code = absl::StatusCode::kOk,
                       bool cancelled = false) {
    recorder.Sent(absl::Seconds(due));
    recorder.Add({.due = absl::Seconds(due),
                  .sent = absl::Seconds(sent),
                  .ended = absl::Seconds(ended),
                  .code = code,
                  .cancelled = cancelled,
                  .tokens = 5});
  };
  add(0.5, 0.5, 9);       // in the warm-up
  add(1.25, 1.75, 2.25);  // sent late: its wait counts
  add(2.5, 2.5, 2.75, absl::StatusCode::kResourceExhausted);
  add(2.5, 2.5, 2.6, absl::StatusCode::kCancelled, /*cancelled=*/true);
  add(2.5, 2.5, 2.6, absl::StatusCode::kCancelled);
  const Report report = recorder.report();
  EXPECT_EQ(report.sent, 4);
  EXPECT_EQ(report.ok(), 1);
  EXPECT_EQ(report.late, 1);
  EXPECT_EQ(report.cancelled, 1);
  EXPECT_EQ(report.errors(), 2);
  EXPECT_EQ(report.tokens, 5);
  EXPECT_EQ(report.latency.max(), absl::Seconds(1));
  EXPECT_EQ(report.refusals.max(), Ms(250));
  EXPECT_EQ(report.measured, absl::Seconds(8)) << "to the last end";
  ASSERT_EQ(report.intervals.size(), 2u);
  EXPECT_EQ(report.intervals[0].latency.count(), 1);
  EXPECT_EQ(report.intervals[1].errors, 2);
}

TEST(RecorderTest, WhatWasNotSentIsAnError) {
  Recorder recorder({.warmup = absl::Seconds(1)});
  recorder.NotSent(absl::ZeroDuration());
  recorder.NotSent(absl::Seconds(1));
  const Report report = recorder.report();
  EXPECT_EQ(report.sent, 1);
  EXPECT_EQ(report.errors(), 1);
  EXPECT_EQ(report.codes.at("NOT_SENT"), 1);
  EXPECT_EQ(report.intervals.at(0).errors, 1);
}

TEST(RecorderTest, IntervalsGrowWhereThereWouldBeTooMany) {
  Recorder recorder({.interval = Ms(10)});
  constexpr int kSeconds = 100;
  for (int i = 0; i < 100 * kSeconds; ++i) recorder.Add({.due = Ms(10 * i), .ended = Ms(10 * i + 5)});
  Report report = recorder.report();
  EXPECT_EQ(report.interval, Ms(40)) << "10,000 intervals were two doublings too many";
  ASSERT_EQ(report.intervals.size(), 2500u);
  for (const Interval& interval : report.intervals) ASSERT_EQ(interval.latency.count(), 4);
  recorder.Add({.due = absl::Hours(1000), .ended = absl::Hours(1000), .code = absl::StatusCode::kInternal});
  report = recorder.report();
  EXPECT_LE(report.intervals.size(), 3600u);
  EXPECT_EQ(report.intervals.front().latency.count(), 100 * kSeconds);
  EXPECT_EQ(report.intervals.back().errors, 1);
}

TEST(RecorderTest, TheFirstErrorAndBatchPriorityAreTold) {
  Recorder recorder({});
  recorder.Add({.ended = Ms(1)});
  recorder.Add({.batch = true, .ended = Ms(2)});
  recorder.Add({.code = absl::StatusCode::kNotFound, .message = "no such model"});
  recorder.Add({.code = absl::StatusCode::kInternal, .message = "later"});
  const Report report = recorder.report();
  EXPECT_EQ(report.batch.count(), 1);
  EXPECT_EQ(report.batch.max(), Ms(2));
  EXPECT_EQ(report.first_error, absl::NotFoundError("no such model"));
  EXPECT_THAT(Table(report), HasSubstr("the first error: no such model"));
}

TEST(PrepareTest, MixesRpcsAndPrioritiesInTheirShares) {
  PrepareOptions options;
  options.mix = *ParseMix("translate=3,summarize=1,stream_translate=1");
  options.texts = {"one", "two", "three"};
  options.batch_fraction = 0.25;
  options.summarize_model = "short";
  options.request.mutable_model()->set_name("long");
  const std::vector<Prepared> prepared = Prepare(options, 4000);
  ASSERT_EQ(prepared.size(), 4000u);
  std::map<Rpc, int> count;
  int batch = 0;
  for (std::size_t i = 0; i < prepared.size(); ++i) {
    ++count[prepared[i].rpc];
    v1::TranslateRequest request;
    if (prepared[i].rpc == Rpc::kStreamTranslate) {
      v1::StreamTranslateRequest stream;
      ASSERT_TRUE(stream.ParseFromString(prepared[i].bytes));
      request = stream.request();
    } else {
      ASSERT_TRUE(request.ParseFromString(prepared[i].bytes));
    }
    EXPECT_EQ(request.texts(0), options.texts[i % 3]);
    EXPECT_EQ(request.model().name(), prepared[i].rpc == Rpc::kSummarize ? "short" : "long");
    batch += static_cast<int>(request.priority() == v1::PRIORITY_BATCH);
    EXPECT_EQ(prepared[i].batch, request.priority() == v1::PRIORITY_BATCH);
  }
  EXPECT_NEAR(count[Rpc::kTranslate], 2400, 150);
  EXPECT_NEAR(count[Rpc::kSummarize], 800, 120);
  EXPECT_NEAR(batch, 1000, 120);
  for (const char* bad : {"", "translate", "translate=0", "translate=-1", "fly=1", "translate=1,,"}) {
    EXPECT_FALSE(ParseMix(bad).ok()) << bad;
  }
}

// A server whose latency grows as that of a queue: 10 ms / (1 - rate / capacity).
absl::StatusOr<Probe> Queue(double rate, double capacity) {
  Probe probe;
  probe.latency = rate < capacity ? Ms(10 / (1 - rate / capacity)) : absl::Hours(1);
  return probe;
}

TEST(RateSearchTest, FindsTheHighestRateWithinTheTolerance) {
  for (double capacity : {0.3, 3.0, 100.0, 12345.0}) {
    const auto probes =
        FindRate({.tolerance = 0.02, .limit = Ms(100)}, [&](double rate) { return Queue(rate, capacity); });
    ASSERT_TRUE(probes.ok());
    const Probe* best = Best(*probes);
    ASSERT_NE(best, nullptr);
    EXPECT_LE(best->rate, 0.9 * capacity);
    EXPECT_GE(best->rate, 0.9 * capacity * 0.98);
    EXPECT_LT(probes->size(), 40u);
  }
}

TEST(RateSearchTest, ErrorsAndFailuresCount) {
  auto probes = FindRate({.max_rate = 100}, [](double) {
    Probe probe;
    probe.error_share = 0.01;
    return absl::StatusOr<Probe>(probe);
  });
  ASSERT_TRUE(probes.ok());
  EXPECT_EQ(Best(*probes), nullptr);
  EXPECT_EQ(FindRate({}, [](double) { return absl::StatusOr<Probe>(absl::UnavailableError("gone")); }).status(),
            absl::UnavailableError("gone"));
}

TEST(RateSearchTest, AnInterruptedSearchHasWhatItFoundBefore) {
  int runs = 0;
  const auto probes = FindRate({.first_rate = 1, .limit = Ms(100)}, [&](double rate) {
    return ++runs == 4 ? absl::StatusOr<Probe>(absl::CancelledError("interrupted")) : Queue(rate, 100);
  });
  ASSERT_TRUE(probes.ok());
  EXPECT_EQ(probes->size(), 3u);
  EXPECT_EQ(Best(*probes)->rate, 4);
}

std::vector<Prepared> Texts(int count) {
  PrepareOptions options;
  for (int i = 0; i < count; ++i) options.texts.push_back(absl::StrCat("text ", i));
  return Prepare(options, 1);
}

LoadOptions To(const FakeServer& server) {
  LoadOptions options;
  options.client.address = server.address();
  options.connections = 2;
  options.duration = absl::Hours(1);
  return options;
}

const std::atomic<bool> kNever{false};

TEST(Load, AnOpenLoopDoesNotWaitForAnswers) {
  FakeServer server;
  constexpr int kRequests = 12;
  // No answer goes out before all requests are there: a loop that waited would never end.
  absl::Mutex mu;
  int arrived = 0;
  server.SetHook([&] {
    absl::MutexLock lock(&mu);
    ++arrived;
    const auto all = [&] { return arrived == kRequests; };
    mu.Await(absl::Condition(&all));
  });
  Recorder recorder({});
  const std::vector<absl::Duration> at_once(kRequests);
  ASSERT_TRUE(RunLoad(To(server), Arrivals::Recorded(at_once), Texts(5), kNever, &recorder).ok());
  const Report report = recorder.report();
  EXPECT_EQ(report.ok(), kRequests);
  EXPECT_EQ(report.most_in_flight, kRequests);
  EXPECT_EQ(server.requests().size(), static_cast<std::size_t>(kRequests));
}

TEST(Load, AClosedLoopKeepsExactlySoManyInFlight) {
  FakeServer server;
  LoadOptions options = To(server);
  options.concurrency = 3;
  options.requests = 40;
  Recorder recorder({});
  ASSERT_TRUE(RunLoad(options, Arrivals::Constant(1), Texts(5), kNever, &recorder).ok());
  EXPECT_EQ(recorder.report().ok(), 40);
  EXPECT_EQ(recorder.report().most_in_flight, 3);
}

TEST(Load, AStalledServerShowsInAllThatWereDueMeanwhile) {
  FakeServer server;
  // The first request is answered when the last, which is due 100 ms later, has arrived.
  absl::Notification last;
  std::atomic<int> arrived{0};
  server.SetHook([&] {
    if (++arrived == 11) last.Notify();
    last.WaitForNotification();
  });
  std::vector<absl::Duration> due;
  for (int i = 0; i <= 10; ++i) due.push_back(Ms(10 * i));
  Recorder recorder({});
  ASSERT_TRUE(RunLoad(To(server), Arrivals::Recorded(due), Texts(5), kNever, &recorder).ok());
  const Report report = recorder.report();
  ASSERT_EQ(report.ok(), 11);
  EXPECT_GE(report.latency.max(), Ms(100));
  EXPECT_GE(report.latency.Percentile(50), Ms(50)) << "half of them were due 50 ms or more before the last";
}

TEST(Load, ARequestThatIsDueWhileTooManyAreUnderWayIsNotSent) {
  FakeServer server;
  absl::Notification all_due;
  server.SetHook([&] { all_due.WaitForNotification(); });
  LoadOptions options = To(server);
  options.max_in_flight = 3;
  Recorder recorder({});
  std::thread release([&] {
    while (recorder.report().sent < 8) absl::SleepFor(absl::Milliseconds(1));
    all_due.Notify();
  });
  ASSERT_TRUE(RunLoad(options, Arrivals::Recorded(std::vector<absl::Duration>(8)), Texts(5), kNever, &recorder).ok());
  release.join();
  EXPECT_EQ(server.calls(), 3);
  EXPECT_EQ(recorder.report().ok(), 3);
  EXPECT_EQ(recorder.report().codes.at("NOT_SENT"), 5);
}

TEST(Load, CallersOfAClosedLoopGoOnAfterUnavailable) {
  FakeServer server;
  server.Fail({{grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining"), ""},
               {grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining"), ""}});
  LoadOptions options = To(server);
  options.concurrency = 2;
  options.requests = 6;
  Recorder recorder({});
  ASSERT_TRUE(RunLoad(options, Arrivals::Constant(1), Texts(5), kNever, &recorder).ok());
  EXPECT_EQ(recorder.report().ok(), 4);
  EXPECT_EQ(recorder.report().first_error, absl::UnavailableError("draining"));
  EXPECT_EQ(server.calls(), 6);
}

TEST(Load, AClosedLoopOfManyCallersSendsNoMoreThanItWasAskedTo) {
  FakeServer server;
  LoadOptions options = To(server);
  options.concurrency = 24;
  options.requests = 100;
  for (int round = 1; round <= 10; ++round) {
    Recorder recorder({});
    ASSERT_TRUE(RunLoad(options, Arrivals::Constant(1), Texts(5), kNever, &recorder).ok());
    EXPECT_EQ(recorder.report().sent, 100);
    EXPECT_EQ(server.calls(), 100 * round);
  }
}

TEST(Load, ErrorsAreCountedByCode) {
  FakeServer server;
  server.Fail({{grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full"), "5"},
               {grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full"), "5"},
               {grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "bad"), ""}});
  Recorder recorder({});
  ASSERT_TRUE(
      RunLoad(To(server), Arrivals::Recorded(std::vector<absl::Duration>(5)), Texts(5), kNever, &recorder).ok());
  const Report report = recorder.report();
  EXPECT_EQ(report.ok(), 2);
  EXPECT_EQ(report.codes.at("RESOURCE_EXHAUSTED"), 2);
  EXPECT_EQ(report.codes.at("INVALID_ARGUMENT"), 1);
  EXPECT_EQ(report.refusals.count(), 2);
  EXPECT_EQ(server.calls(), 5) << "nothing is tried again";
}

TEST(Load, RequestsAreCancelledOnPurposeAndWhenStopped) {
  FakeServer server;
  std::atomic<bool> stop{false};
  // Answers only requests that were cancelled, and stops the run when half of them have arrived.
  std::atomic<int> arrived{0};
  server.SetContextHook([&](grpc::ServerContext* context) {
    if (++arrived == 5) stop = true;
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
  });
  LoadOptions options = To(server);
  options.cancel_fraction = 0.5;
  options.cancel_within = absl::Milliseconds(1);
  Recorder recorder({});
  ASSERT_TRUE(RunLoad(options, Arrivals::Recorded(std::vector<absl::Duration>(10)), Texts(5), stop, &recorder).ok());
  const Report report = recorder.report();
  EXPECT_EQ(report.cancelled, report.sent);
  EXPECT_EQ(report.errors(), 0);
}

TEST(Load, NobodyThereIsUnavailable) {
  LoadOptions options;
  options.client.address = "unix:/nonexistent/heed.sock";
  Recorder recorder({});
  EXPECT_EQ(RunLoad(options, Arrivals::Constant(1), Texts(1), kNever, &recorder).code(),
            absl::StatusCode::kUnavailable);
}

TEST(PrintTest, JsonIsReadBackForPlots) {
  Recorder recorder({});
  for (int i = 1; i <= 1000; ++i) {
    recorder.Sent(absl::ZeroDuration());
    recorder.Add({.ended = absl::Milliseconds(i)});
  }
  const std::string json = Json(recorder.report(), "a <run>", 12);
  const auto parsed = nlohmann::json::parse(json);
  EXPECT_EQ(parsed["ok"], 1000);
  EXPECT_NEAR(parsed["latency"]["p97_ms"].get<double>(), 970, 9.7);
  const auto curves = CurvesOfJson(json, Over::kPercentiles);
  ASSERT_TRUE(curves.ok()) << curves.status();
  ASSERT_EQ(curves->size(), 1u);
  EXPECT_EQ(curves->front().label, "a <run>");
  EXPECT_EQ(curves->front().points.size(), CurveOf(recorder.report(), "").points.size());
  EXPECT_NEAR(curves->front().points.back().first, 99.9, 0.1) << "the percentiles that 1,000 requests tell";
  const std::string svg = Svg(*curves, Over::kPercentiles, "Latency");
  EXPECT_THAT(svg, HasSubstr("a &lt;run&gt;"));
  EXPECT_THAT(svg, HasSubstr("<polyline"));
  for (const char* bad : {"", "[]", "{}", R"({"curve":[[1]]})", R"({"curve":[[100,1]]})", R"({"curve":[["a",1]]})"}) {
    EXPECT_FALSE(CurvesOfJson(bad, Over::kPercentiles).ok()) << bad;
    EXPECT_FALSE(CurvesOfJson(bad, Over::kTime).ok()) << bad;
  }
  for (Over over : {Over::kPercentiles, Over::kTime}) {
    EXPECT_THAT(Svg({}, over, "nothing"), HasSubstr("</svg>")) << "no run, no line";
  }
}

TEST(PrintTest, OverTimeEachIntervalHasItsPercentiles) {
  Recorder recorder({.interval = absl::Seconds(2)});
  for (double due : {0.0, 1.0, 5.0}) recorder.Add({.due = absl::Seconds(due), .ended = absl::Seconds(due) + Ms(10)});
  const auto curves = CurvesOfJson(Json(recorder.report(), "run", 1), Over::kTime);
  ASSERT_TRUE(curves.ok()) << curves.status();
  ASSERT_EQ(curves->size(), 2u);
  EXPECT_EQ(curves->at(1).label, "run p99");
  ASSERT_EQ(curves->at(1).points.size(), 2u) << "in seconds 2 and 3 nothing was due";
  EXPECT_EQ(curves->at(1).points[1].first, 4);
  EXPECT_NEAR(curves->at(1).points[1].second, 10, 0.1);
  EXPECT_THAT(Svg(*curves, Over::kTime, ""), HasSubstr("seconds after the warm-up"));
}

}  // namespace
}  // namespace heed::bench
