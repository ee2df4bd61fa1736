#include "server/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "server/metrics/exemplars.h"
#include "server/metrics/process_stats.h"
#include "tests/support/bundle_folder.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::ModelSummary Koen() {
  v1::ModelSummary summary;
  summary.set_name("koen");
  summary.set_version("1");
  summary.set_load_seconds(0.25);
  summary.set_weight_bytes(4096);
  summary.set_precision("int8");
  return summary;
}

// Counts of one model.
struct Counted {
  std::unique_ptr<Metrics> metrics = Metrics::Make({.version = "9.9.9", .memory = {{"models", 4096}}});
  std::shared_ptr<ModelMetrics> koen = metrics->AddModel(Koen());

  Metrics* operator->() const { return metrics.get(); }
};

RequestSample Sample(const std::shared_ptr<ModelMetrics>& model) {
  RequestSample sample;
  sample.model = model;
  sample.duration = absl::Milliseconds(300);
  sample.before_scheduler = absl::Milliseconds(30);
  sample.source_tokens = 7;
  sample.target_tokens = 11;
  sample.doubtful_outputs = 2;
  sample.low_coverage_segments = 1;
  sample.segments.push_back({.queued = absl::Milliseconds(4),
                             .first_token = absl::Milliseconds(40),
                             .total = absl::Milliseconds(140),
                             .target_tokens = 11});
  return sample;
}

// Everything that a server of one request shows.
std::string Scrape(const Counted& metrics) {
  metrics->ReadGaugesFrom([] {
    Gauges gauges;
    gauges.scheduler = {.queued_jobs = 3,
                        .live_jobs = 4,
                        .rows_in_use = 12,
                        .max_rows = 64,
                        .queued_bytes = 5,
                        .max_queue_bytes = 50,
                        .leased_bytes = 6000000000,
                        .max_request_bytes = 7000000000,
                        .early_refusals = 8};
    gauges.failed_models = 2;
    gauges.requests_in_flight = 5;
    gauges.connections = 6;
    gauges.max_connections = 60;
    gauges.refused_connections = 7;
    gauges.log_lines_dropped = 9;
    return gauges;
  });
  metrics->OnRequest(Sample(metrics.koen));
  StepReport report;
  report.rows = 20;
  report.encoded_positions = 100;
  metrics.koen->OnStep(report, absl::Milliseconds(2));
  return metrics->Render();
}

TEST(Metrics, ARequestIsCountedByRpcModelAndCode) {
  const Counted metrics;
  const std::string text = Scrape(metrics);
  EXPECT_THAT(text, HasSubstr("heed_requests_total{code=\"OK\",model=\"koen\",rpc=\"Translate\",version=\"1\"} 1"));
  EXPECT_THAT(text, HasSubstr("heed_request_duration_seconds_sum{model=\"koen\",rpc=\"Translate\",version=\"1\"} 0.3"));
  EXPECT_THAT(text, HasSubstr("heed_queue_duration_seconds_sum{model=\"koen\",version=\"1\"} 0.004"));
  EXPECT_THAT(text, HasSubstr("heed_time_to_first_token_seconds_sum{model=\"koen\",version=\"1\"} 0.07"));
  EXPECT_THAT(text, HasSubstr("heed_time_per_token_seconds_sum{model=\"koen\",version=\"1\"} 0.01"));
  EXPECT_THAT(text, HasSubstr("heed_source_tokens_total{model=\"koen\",version=\"1\"} 7"));
  EXPECT_THAT(text, HasSubstr("heed_target_tokens_total{model=\"koen\",version=\"1\"} 11"));
  EXPECT_THAT(text, HasSubstr("heed_doubtful_outputs_total{model=\"koen\",version=\"1\"} 2"));
  EXPECT_THAT(text, HasSubstr("heed_low_coverage_segments_total{model=\"koen\",version=\"1\"} 1"));
}

TEST(Metrics, RequestsForUnknownModelsShareOneLabel) {
  const Counted metrics;
  RequestSample sample;
  sample.rpc = Rpc::kSummarize;
  sample.code = absl::StatusCode::kNotFound;
  metrics->OnRequest(sample);
  metrics->OnRequest(sample);
  EXPECT_THAT(
      metrics->Render(),
      HasSubstr("heed_requests_total{code=\"NOT_FOUND\",model=\"unknown\",rpc=\"Summarize\",version=\"unknown\"} 2"));
}

TEST(Metrics, StepsGaugesAndTheBuildAreShown) {
  const Counted metrics;
  const std::string text = Scrape(metrics);
  EXPECT_THAT(text, HasSubstr("heed_step_rows_sum{model=\"koen\",version=\"1\"} 20"));
  EXPECT_THAT(text, HasSubstr("heed_encoder_positions_total{model=\"koen\",version=\"1\"} 100"));
  EXPECT_THAT(text, HasSubstr("heed_queue_segments 3"));
  EXPECT_THAT(text, HasSubstr("heed_live_segments 4"));
  EXPECT_THAT(text, HasSubstr("heed_rows_in_use 12"));
  EXPECT_THAT(text, HasSubstr("heed_rows_limit 64"));
  EXPECT_THAT(text, HasSubstr("heed_queue_bytes 5\n"));
  EXPECT_THAT(text, HasSubstr("heed_leased_bytes 6000000000\n"));
  EXPECT_THAT(text, HasSubstr("heed_queue_bytes_limit 50\n"));
  EXPECT_THAT(text, HasSubstr("heed_leased_bytes_limit 7000000000\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE heed_early_refusals_total counter\nheed_early_refusals_total 8\n"));
  EXPECT_THAT(text, HasSubstr("heed_requests_in_flight 5"));
  EXPECT_THAT(text, HasSubstr("heed_connections 6\n"));
  EXPECT_THAT(text, HasSubstr("heed_connections_limit 60\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE heed_log_lines_dropped_total counter\nheed_log_lines_dropped_total 9\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE heed_refused_connections_total counter\nheed_refused_connections_total 7\n"));
  EXPECT_THAT(text, HasSubstr("heed_model_load_seconds{model=\"koen\",version=\"1\"} 0.25"));
  EXPECT_THAT(text, HasSubstr("heed_model_info{model=\"koen\",precision=\"int8\",version=\"1\"} 1"));
  EXPECT_THAT(text, HasSubstr("heed_model_weight_bytes{model=\"koen\",version=\"1\"} 4096"));
  EXPECT_THAT(text, HasSubstr("heed_models_failed 2"));
  EXPECT_THAT(text, HasSubstr("heed_build_info{version=\"9.9.9\"} 1"));
  EXPECT_THAT(text, HasSubstr("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 0."));
  EXPECT_THAT(text, HasSubstr("# TYPE process_threads gauge\nprocess_threads "));
}

TEST(Metrics, ASegmentThatNeverStartedHasNoTokenTimes) {
  const Counted metrics;
  RequestSample sample = Sample(metrics.koen);
  sample.code = absl::StatusCode::kDeadlineExceeded;
  sample.segments = {{.queued = absl::Seconds(1), .total = absl::Seconds(1)}};
  metrics->OnRequest(sample);
  const std::string text = metrics->Render();
  EXPECT_THAT(text, HasSubstr("heed_queue_duration_seconds_count{model=\"koen\",version=\"1\"} 1"));
  EXPECT_THAT(text, HasSubstr("heed_time_to_first_token_seconds_count{model=\"koen\",version=\"1\"} 0"));
  EXPECT_THAT(text, HasSubstr("heed_time_per_token_seconds_count{model=\"koen\",version=\"1\"} 0"));
}

TEST(Metrics, TheDocumentationNamesEveryMetricAndNoOther) {
  const Counted metrics;
  const std::string text = Scrape(metrics);
  std::set<std::string> served;
  const std::regex type_line("# TYPE (\\w+) ");
  for (std::sregex_iterator it(text.begin(), text.end(), type_line), end; it != end; ++it) served.insert((*it)[1]);
  std::ifstream file("docs/metrics.md");
  const std::string docs((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::set<std::string> documented;
  const std::regex row("\n\\| `((heed|process)_\\w+)`");
  for (std::sregex_iterator it(docs.begin(), docs.end(), row), end; it != end; ++it) documented.insert((*it)[1]);
  EXPECT_EQ(served, documented);
}

TEST(Metrics, AModelIsShownAsLongAsSomebodyHoldsIt) {
  const auto metrics = Metrics::Make({});
  EXPECT_THAT(metrics->Render(), Not(HasSubstr("koen")));
  std::shared_ptr<ModelMetrics> server = metrics->AddModel(Koen());
  EXPECT_EQ(server->model(), "koen");
  RequestSample last = Sample(server);
  server.reset();  // it is retired, and a request of it is under way
  EXPECT_THAT(metrics->Render(), HasSubstr("heed_model_info{model=\"koen\",precision=\"int8\",version=\"1\"} 1"));
  metrics->OnRequest(last);
  EXPECT_THAT(metrics->Render(), HasSubstr("heed_target_tokens_total{model=\"koen\",version=\"1\"} 11"));
  last.model.reset();
  for (const MetricsFormat format : {MetricsFormat::kPrometheus, MetricsFormat::kOpenMetrics}) {
    EXPECT_THAT(metrics->Render(format), Not(HasSubstr("koen")));
  }
}

TEST(Metrics, AModelAddedAgainGoesOnWhileTheLastOneIsHeldAndBeginsAnewAfterwards) {
  const auto metrics = Metrics::Make({});
  std::shared_ptr<ModelMetrics> first = metrics->AddModel(Koen());
  metrics->OnRequest(Sample(first));
  v1::ModelSummary other = Koen();
  other.set_precision("float32");
  std::shared_ptr<ModelMetrics> second = metrics->AddModel(other);
  metrics->OnRequest(Sample(first));
  metrics->OnRequest(Sample(second));
  first.reset();
  const std::string both = metrics->Render();
  EXPECT_THAT(both, HasSubstr("heed_source_tokens_total{model=\"koen\",version=\"1\"} 21"));
  EXPECT_THAT(both, HasSubstr("precision=\"float32\""));
  EXPECT_THAT(both, Not(HasSubstr("precision=\"int8\"")));
  second.reset();
  second = metrics->AddModel(other);
  EXPECT_THAT(metrics->Render(), HasSubstr("heed_source_tokens_total{model=\"koen\",version=\"1\"} 0"));
}

TEST(Metrics, SeveralModelsShareOneFamilyOfEachName) {
  const Counted metrics;
  v1::ModelSummary other = Koen();
  other.set_version("2");
  const auto second = metrics->AddModel(other);
  metrics->OnRequest(Sample(second));
  const std::string text = Scrape(metrics);
  std::map<std::string, int> families;
  const std::regex type_line("# TYPE (\\w+) ");
  for (std::sregex_iterator it(text.begin(), text.end(), type_line), end; it != end; ++it) ++families[(*it)[1]];
  for (const auto& [name, times] : families) EXPECT_EQ(times, 1) << name;
  EXPECT_THAT(text, HasSubstr("heed_requests_total{code=\"OK\",model=\"koen\",rpc=\"Translate\",version=\"1\"} 1"));
  EXPECT_THAT(text, HasSubstr("heed_requests_total{code=\"OK\",model=\"koen\",rpc=\"Translate\",version=\"2\"} 1"));
}

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";

TEST(Metrics, OpenMetricsHasItsNamesUnitsNumbersAndEnd) {
  const Counted metrics;
  Scrape(metrics);
  const std::string text = metrics->Render(MetricsFormat::kOpenMetrics);
  EXPECT_THAT(text, HasSubstr("# TYPE heed_requests counter\nheed_requests_total{code=\"OK\",model=\"koen\","
                              "rpc=\"Translate\",version=\"1\"} 1.0\n"));
  EXPECT_THAT(text, HasSubstr("# HELP heed_requests RPCs answered, by RPC, model and gRPC code; requests that named no "
                              "served model are model=\\\"unknown\\\".\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE heed_early_refusals counter\nheed_early_refusals_total 8.0\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE heed_request_duration_seconds histogram\n"
                              "# UNIT heed_request_duration_seconds seconds\n"
                              "heed_request_duration_seconds_bucket{model=\"koen\",rpc=\"Translate\",version=\"1\","
                              "le=\"0.001\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("rpc=\"Translate\",version=\"1\",le=\"1.0\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("heed_request_duration_seconds_bucket{model=\"koen\",rpc=\"Translate\",version=\"1\","
                        "le=\"+Inf\"} 1\n"
                        "heed_request_duration_seconds_count{model=\"koen\",rpc=\"Translate\",version=\"1\"} 1\n"
                        "heed_request_duration_seconds_sum{model=\"koen\",rpc=\"Translate\",version=\"1\"} 0.3\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE heed_queue_bytes gauge\n# UNIT heed_queue_bytes bytes\nheed_queue_bytes 5.0\n"));
  EXPECT_THAT(text, HasSubstr("heed_leased_bytes 6e+09\n"));
  EXPECT_THAT(text, ::testing::EndsWith("\n# EOF\n"));
  EXPECT_THAT(text, Not(HasSubstr(" # {"))) << "no request had a trace";
}

TEST(Metrics, NothingIsLostBetweenTheTwoForms) {
  const Counted metrics;
  const std::string plain = Scrape(metrics);
  const std::string open = metrics->Render(MetricsFormat::kOpenMetrics);
  // Name, labels but for a bucket's bound, which each writes in its own way, and no value.
  const auto samples = [](const std::string& text) {
    std::multiset<std::string> found;
    const std::regex sample("(^|\n)((?:heed|process)_\\w+(\\{[^}]*\\})?) ");
    const std::regex bound(",?le=\"[^\"]*\"");
    for (std::sregex_iterator it(text.begin(), text.end(), sample), end; it != end; ++it) {
      found.insert(std::regex_replace((*it)[2].str(), bound, ""));
    }
    return found;
  };
  EXPECT_GT(samples(plain).size(), 100u);
  EXPECT_EQ(samples(plain), samples(open));
}

TEST(Metrics, TheLastTracedRequestOfABucketIsItsExemplar) {
  const Counted metrics;
  RequestSample sample = Sample(metrics.koen);
  sample.trace_id = "0123456789abcdef0123456789abcdef";
  metrics->OnRequest(sample);
  sample.trace_id = kTrace;
  metrics->OnRequest(sample);
  sample.trace_id.clear();
  metrics->OnRequest(sample);
  RequestSample unknown;
  unknown.rpc = Rpc::kSummarize;
  unknown.duration = absl::Minutes(5);
  unknown.trace_id = kTrace;
  metrics->OnRequest(unknown);
  const std::string text = metrics->Render(MetricsFormat::kOpenMetrics);
  EXPECT_TRUE(std::regex_search(text, std::regex("rpc=\"Translate\",version=\"1\",le=\"0.5\"\\} 3 # "
                                                 "\\{trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"\\} 0\\.3 "
                                                 "\\d{10}\\.\\d{3}\n")))
      << text;
  EXPECT_TRUE(
      std::regex_search(text, std::regex("model=\"unknown\",rpc=\"Summarize\",version=\"unknown\",le=\"\\+Inf"
                                         "\"\\} 1 # \\{trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"\\} 300\\.0 ")))
      << text;
  const std::regex exemplar(" # \\{");
  EXPECT_EQ(std::distance(std::sregex_iterator(text.begin(), text.end(), exemplar), {}), 2) << text;
  EXPECT_THAT(metrics->Render(), Not(HasSubstr(kTrace))) << "the plain text has no exemplars";
}

TEST(Metrics, AnExemplarIsInTheBucketThatCountsIt) {
  const std::vector<double> bounds = {1, 2};
  Exemplars exemplars(&bounds);
  exemplars.Keep("a", 1, absl::UnixEpoch());
  exemplars.Keep("b", 1.5, absl::UnixEpoch());
  exemplars.Keep("c", 2.5, absl::UnixEpoch());
  std::vector<std::string> kept;
  for (const Exemplar& exemplar : exemplars.Get()) kept.push_back(exemplar.trace_id);
  EXPECT_THAT(kept, ::testing::ElementsAre("a", "b", "c")) << "bounds are inclusive";
}

std::map<std::string, double> ProcessStats(const std::string& proc = "/proc") {
  std::map<std::string, double> stats;
  for (const ProcessStat& stat : ReadProcessStats(proc)) stats[stat.name] = stat.value;
  return stats;
}

TEST(ProcessStats, AreThisProcesss) {
  std::thread([] {}).join();  // with the first one the thread sanitizer starts one of its own, which stays
  auto before = ProcessStats();
  EXPECT_EQ(before.size(), 7u) << "Linux says all of them";
  std::ifstream held("/proc/self/stat");
  absl::Notification end;
  std::thread other([&] { end.WaitForNotification(); });
  const std::vector<char> memory(64 << 20, 'x');
  auto after = ProcessStats();
  EXPECT_EQ(memory.back(), 'x');
  end.Notify();
  other.join();
  EXPECT_EQ(after["process_open_fds"], before["process_open_fds"] + 1);
  EXPECT_EQ(after["process_threads"], before["process_threads"] + 1);
  EXPECT_GT(after["process_resident_memory_bytes"], before["process_resident_memory_bytes"] + (60 << 20));
  EXPECT_GT(after["process_virtual_memory_bytes"], after["process_resident_memory_bytes"]);
  EXPECT_GT(after["process_cpu_seconds_total"], before["process_cpu_seconds_total"]);
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_LT(after["process_start_time_seconds"], now + 1);
  EXPECT_GT(after["process_start_time_seconds"], now - 300) << "the test began not long ago";
  rlimit files = {};
  getrlimit(RLIMIT_NOFILE, &files);
  EXPECT_EQ(after["process_max_fds"], static_cast<double>(files.rlim_cur));
}

TEST(ProcessStats, AreReadFromFilesWhateverTheProgramIsCalled) {
  const TempFolder proc;
  std::filesystem::create_directories(proc.path() + "/self/fd");
  for (const char* name : {"0", "1", "2", "7"}) std::ofstream(absl::StrCat(proc.path(), "/self/fd/", name)) << "";
  std::ofstream(proc.path() + "/self/stat") << "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 500 250 0 0 20 0 11 0 "
                                               "3000 123456789 2048 18446744073709551615 1 1 0 0 0\n";
  std::ofstream(proc.path() + "/stat") << "cpu  1 2 3\nintr 5\nbtime 1700000000\nprocesses 5\n";
  auto stats = ProcessStats(proc.path());
  EXPECT_EQ(stats["process_threads"], 11);
  EXPECT_EQ(stats["process_virtual_memory_bytes"], 123456789);
  EXPECT_EQ(stats["process_resident_memory_bytes"], 2048.0 * static_cast<double>(sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(stats["process_open_fds"], 3) << "without the one that reads them";
  EXPECT_EQ(stats["process_start_time_seconds"], 1700000000 + 3000.0 / static_cast<double>(sysconf(_SC_CLK_TCK)));
}

TEST(ProcessStats, WhatTheSystemDoesNotSayIsLeftOut) {
  const TempFolder proc;
  const auto names = [&] {
    std::set<std::string> found;
    for (const auto& [name, value] : ProcessStats(proc.path())) found.insert(name);
    return found;
  };
  const std::set<std::string> always = {"process_cpu_seconds_total", "process_max_fds"};
  EXPECT_EQ(names(), always) << "no /proc";
  std::filesystem::create_directory(proc.path() + "/self");
  constexpr char kWords[] = "42 (heed) S x x x x x x x x x x x x x x x x x x x x x x";
  for (const char* damaged : {"", "42", "42 (heed", "42 (heed)", "42 (heed) S 1 2", kWords, ")"}) {
    std::ofstream(proc.path() + "/self/stat") << damaged;
    EXPECT_EQ(names(), always) << damaged;
  }
  std::ofstream(proc.path() + "/self/stat") << "42 (heed) S 1 42 42 0 -1 0 1 0 0 0 5 2 0 0 20 0 11 0 3000 1 2";
  for (const char* damaged : {"", "btime", "btime x"}) {
    std::ofstream(proc.path() + "/stat") << damaged;
    EXPECT_EQ(names().count("process_start_time_seconds"), 0u) << damaged;
    EXPECT_EQ(names().count("process_threads"), 1u) << damaged;
  }
}

TEST(Metrics, ATraceIdIsThatOfARecordedTrace) {
  const std::string trace(kTrace), parent = "00f067aa0ba902b7";
  EXPECT_EQ(TraceIdOf(absl::StrCat("00-", trace, "-", parent, "-01")), trace);
  EXPECT_EQ(TraceIdOf(absl::StrCat(" 00-", trace, "-", parent, "-03 ")), trace);
  EXPECT_EQ(TraceIdOf(absl::StrCat("01-", trace, "-", parent, "-01-later")), trace) << "of a later version";
  for (const std::string& wrong :
       {std::string(), std::string("x"), trace, absl::StrCat("00-", trace, "-", parent, "-00"),
        absl::StrCat("00-", trace, "-", parent, "-1"), absl::StrCat("ff-", trace, "-", parent, "-01"),
        absl::StrCat("00-", trace, "-", parent, "-01-more"), absl::StrCat("01-", trace, "-", parent, "-01more"),
        absl::StrCat("00-", std::string(32, '0'), "-", parent, "-01"),
        absl::StrCat("00-", trace, "-", std::string(16, '0'), "-01"),
        absl::StrCat("00-", std::string(32, 'g'), "-", parent, "-01"),
        absl::StrCat("00-", std::string(32, 'A'), "-", parent, "-01"), absl::StrCat("00_", trace, "-", parent, "-01"),
        absl::StrCat("00-", std::string(31, '"'), "\n-", parent, "-01")}) {
    EXPECT_EQ(TraceIdOf(wrong), "") << wrong;
  }
}

}  // namespace
}  // namespace heed
