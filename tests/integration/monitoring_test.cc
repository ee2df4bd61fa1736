// What watches a server: scrapes and probes over HTTP, whoever else is connected there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/integration/certificate.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"
#include "tests/support/socket_client.h"

namespace heed {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kScrape[] = "GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

std::string Get(int port, const std::string& path, int family = AF_INET) {
  return SocketClient(port, family).Ask(absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n"));
}

// The status of a probe: 200, say; 0: no answer.
int Probe(int port, const std::string& path) {
  const std::string answer = Get(port, path);
  int status = 0;
  return answer.size() > 12 && absl::SimpleAtoi(answer.substr(9, 3), &status) ? status : 0;
}

TEST(Monitoring, SilentAndHalfSentConnectionsDelayNoScrape) {
  TempFolder models;
  WriteLuong(models.path(), "luong");
  RunningServer server(models.path());
  std::vector<SocketClient> others;
  for (int i = 0; i < 64; ++i) others.emplace_back(server.metrics_port());
  for (int i = 0; i < 64; ++i) {
    others.emplace_back(server.metrics_port());
    EXPECT_TRUE(others.back().Send("GET /metrics HTTP/1.1\r\nHost"));
  }
  // The best of several: what the machine does besides is not the listener's.
  absl::Duration best = absl::InfiniteDuration();
  for (int i = 0; i < 10; ++i) {
    const absl::Time start = absl::Now();
    const std::string answer = SocketClient(server.metrics_port()).Ask(kScrape);
    best = std::min(best, absl::Now() - start);
    EXPECT_THAT(answer, HasSubstr("\nheed_rows_in_use 0\n"));
  }
  EXPECT_LT(best, absl::Milliseconds(50));
  RecordProperty("best_scrape", absl::FormatDuration(best));
}

TEST(Monitoring, MetricsSayTheirFormAndTheExposersOwnAreGone) {
  TempFolder models;
  WriteLuong(models.path(), "luong");
  RunningServer server(models.path());
  const std::string text = Get(server.metrics_port(), "/metrics");
  EXPECT_THAT(text, HasSubstr("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("exposer_")));
  const std::string open =
      SocketClient(server.metrics_port()).Ask("GET /metrics HTTP/1.0\r\nAccept: application/openmetrics-text\r\n\r\n");
  EXPECT_THAT(open, HasSubstr("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
  EXPECT_THAT(open, EndsWith("\n# EOF\n"));
}

TEST(Monitoring, ProbesTellAServerThatDrainsFromOneThatServes) {
  TempFolder models;
  WriteSlowModel(models.path());
  RunningServer server(models.path(), {"--workers=1", "--max_rows=1", "--max_beam_size=1", "--max_target_tokens=65536",
                                       "--default_reply_bytes=67108864", "--drain_time=20s"});
  for (const char* probe : {"/livez", "/startupz", "/readyz"}) {
    EXPECT_EQ(Probe(server.metrics_port(), probe), 200) << probe;
  }
  const auto running = server.caller().StartTranslate(SlowRequest(1, 65536));
  server.WaitForMetric("heed_live_segments", 1);
  server.process().Signal(SIGTERM);
  EXPECT_TRUE(WaitUntil([&] { return Probe(server.metrics_port(), "/readyz") == 503; }));
  EXPECT_EQ(Probe(server.metrics_port(), "/livez"), 200);
  EXPECT_EQ(Probe(server.metrics_port(), "/startupz"), 200);
  EXPECT_GE(server.Metric("heed_requests_in_flight"), 1) << "and its metrics are there until its end";
  running->Cancel();
  EXPECT_EQ(server.process().Wait(), 0);
}

TEST(Monitoring, IsReachedOverIpv6) {
  TempFolder models;
  WriteLuong(models.path(), "luong");
  RunningServer server(models.path(), {"--metrics_address=[::]:0"});
  EXPECT_THAT(Get(server.metrics_port(), "/readyz", AF_INET6), EndsWith("\r\n\r\nserving\n"));
  EXPECT_THAT(Get(server.metrics_port(), "/readyz"), EndsWith("\r\n\r\nserving\n"));
}

// Asks over TLS; empty where that fails.
std::string AskOverTls(int port, const std::string& certificate, const std::string& request) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  SSL_CTX_load_verify_file(context.get(), certificate.c_str());
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new_ssl_connect(context.get()), &BIO_free_all);
  BIO_set_conn_hostname(bio.get(), absl::StrCat("127.0.0.1:", port).c_str());
  if (BIO_write(bio.get(), request.data(), static_cast<int>(request.size())) != static_cast<int>(request.size())) {
    return "";
  }
  std::string answer;
  std::array<char, 65536> bytes;
  for (int count; (count = BIO_read(bio.get(), bytes.data(), static_cast<int>(bytes.size()))) > 0;) {
    answer.append(bytes.data(), static_cast<std::size_t>(count));
  }
  return answer;
}

TEST(Monitoring, IsEncryptedWhereThatIsAsked) {
  TempFolder models, keys;
  WriteLuong(models.path(), "luong");
  const std::string cert = keys.path() + "/cert.pem", key = keys.path() + "/key.pem";
  WriteSelfSignedCertificate(cert, key);
  // The certificate that clients of gRPC must show is not asked for here.
  RunningServer server(models.path(),
                       {"--tls_cert=" + cert, "--tls_key=" + key, "--tls_client_ca=" + cert, "--http_tls=true"});
  SocketClient silent(server.metrics_port());
  EXPECT_THAT(AskOverTls(server.metrics_port(), cert, kScrape), HasSubstr("\nheed_rows_in_use 0\n"));
  const std::string two = absl::StrCat("GET /livez HTTP/1.1\r\nHost: h\r\n\r\n", kScrape);
  EXPECT_THAT(AskOverTls(server.metrics_port(), cert, two), HasSubstr("\nheed_rows_in_use 0\n"))
      << "two in one record are both answered";
  EXPECT_THAT(SocketClient(server.metrics_port()).Ask(kScrape), Not(HasSubstr("HTTP/1.1 200")));
}

}  // namespace
}  // namespace heed
