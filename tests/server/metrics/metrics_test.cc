#include "server/metrics/metrics.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

MetricsOptions Options(const std::string& address = "") {
  MetricsOptions options;
  options.address = address;
  options.version = "9.9.9";
  options.failed_models = 2;
  v1::ModelSummary summary;
  summary.set_name("koen");
  summary.set_version("1");
  summary.set_load_seconds(0.25);
  summary.set_weight_bytes(4096);
  options.models.push_back(summary);
  return options;
}

RequestSample Sample() {
  RequestSample sample;
  sample.model = 0;
  sample.duration = absl::Milliseconds(300);
  sample.before_scheduler = absl::Milliseconds(30);
  sample.source_tokens = 7;
  sample.target_tokens = 11;
  sample.segments.push_back({.queued = absl::Milliseconds(4),
                             .first_token = absl::Milliseconds(40),
                             .total = absl::Milliseconds(140),
                             .target_tokens = 11});
  return sample;
}

// Everything that a server of one request shows.
std::string Scrape(Metrics* metrics) {
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
    gauges.requests_in_flight = 5;
    gauges.connections = 6;
    gauges.max_connections = 60;
    gauges.refused_connections = 7;
    return gauges;
  });
  metrics->OnRequest(Sample());
  StepReport report;
  report.rows = 20;
  report.encoded_positions = 100;
  metrics->OnStep(0, report, absl::Milliseconds(2));
  return metrics->Render();
}

TEST(Metrics, ARequestIsCountedByRpcModelAndCode) {
  auto metrics = *Metrics::Start(Options());
  const std::string text = Scrape(metrics.get());
  EXPECT_THAT(text, HasSubstr("heed_requests_total{code=\"OK\",model=\"koen\",rpc=\"Translate\",version=\"1\"} 1"));
  EXPECT_THAT(text, HasSubstr("heed_request_duration_seconds_sum{model=\"koen\",rpc=\"Translate\",version=\"1\"} 0.3"));
  EXPECT_THAT(text, HasSubstr("heed_queue_duration_seconds_sum{model=\"koen\",version=\"1\"} 0.004"));
  EXPECT_THAT(text, HasSubstr("heed_time_to_first_token_seconds_sum{model=\"koen\",version=\"1\"} 0.07"));
  EXPECT_THAT(text, HasSubstr("heed_time_per_token_seconds_sum{model=\"koen\",version=\"1\"} 0.01"));
  EXPECT_THAT(text, HasSubstr("heed_source_tokens_total{model=\"koen\",version=\"1\"} 7"));
  EXPECT_THAT(text, HasSubstr("heed_target_tokens_total{model=\"koen\",version=\"1\"} 11"));
}

TEST(Metrics, RequestsForUnknownModelsShareOneLabel) {
  auto metrics = *Metrics::Start(Options());
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
  auto metrics = *Metrics::Start(Options());
  const std::string text = Scrape(metrics.get());
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
  EXPECT_THAT(text, HasSubstr("# TYPE heed_refused_connections_total counter\nheed_refused_connections_total 7\n"));
  EXPECT_THAT(text, HasSubstr("heed_model_load_seconds{model=\"koen\",version=\"1\"} 0.25"));
  EXPECT_THAT(text, HasSubstr("heed_model_weight_bytes{model=\"koen\",version=\"1\"} 4096"));
  EXPECT_THAT(text, HasSubstr("heed_models_failed 2"));
  EXPECT_THAT(text, HasSubstr("heed_build_info{version=\"9.9.9\"} 1"));
}

TEST(Metrics, ASegmentThatNeverStartedHasNoTokenTimes) {
  auto metrics = *Metrics::Start(Options());
  RequestSample sample = Sample();
  sample.code = absl::StatusCode::kDeadlineExceeded;
  sample.segments = {{.queued = absl::Seconds(1), .total = absl::Seconds(1)}};
  metrics->OnRequest(sample);
  const std::string text = metrics->Render();
  EXPECT_THAT(text, HasSubstr("heed_queue_duration_seconds_count{model=\"koen\",version=\"1\"} 1"));
  EXPECT_THAT(text, HasSubstr("heed_time_to_first_token_seconds_count{model=\"koen\",version=\"1\"} 0"));
  EXPECT_THAT(text, HasSubstr("heed_time_per_token_seconds_count{model=\"koen\",version=\"1\"} 0"));
}

TEST(Metrics, TheDocumentationNamesEveryMetricAndNoOther) {
  auto metrics = *Metrics::Start(Options());
  const std::string text = Scrape(metrics.get());
  std::set<std::string> served;
  const std::regex type_line("# TYPE (\\w+) ");
  for (std::sregex_iterator it(text.begin(), text.end(), type_line), end; it != end; ++it) served.insert((*it)[1]);
  std::ifstream file("docs/metrics.md");
  const std::string docs((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::set<std::string> documented;
  const std::regex row("\n\\| `(heed_\\w+)`");
  for (std::sregex_iterator it(docs.begin(), docs.end(), row), end; it != end; ++it) documented.insert((*it)[1]);
  EXPECT_EQ(served, documented);
}

std::string HttpGet(int port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(fd, buffer, sizeof(buffer))) > 0;) answer.append(buffer, static_cast<std::size_t>(n));
  close(fd);
  return answer;
}

TEST(Metrics, AreServedOverHttpOnTheirOwnPort) {
  auto metrics = *Metrics::Start(Options("127.0.0.1:0"));
  ASSERT_GT(metrics->port(), 0);
  const std::string answer = HttpGet(metrics->port(), "/metrics");
  EXPECT_THAT(answer, HasSubstr("200 OK"));
  EXPECT_THAT(answer, HasSubstr("heed_build_info{version=\"9.9.9\"} 1"));
  EXPECT_THAT(answer, HasSubstr("heed_rows_in_use 0"));
}

TEST(Metrics, APortInUseIsOneLine) {
  auto first = *Metrics::Start(Options("127.0.0.1:0"));
  const std::string address = "127.0.0.1:" + std::to_string(first->port());
  const absl::Status status = Metrics::Start(Options(address)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--metrics_address " + address));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace heed
