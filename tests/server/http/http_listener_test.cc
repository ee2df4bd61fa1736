// The HTTP listener on real sockets: who is silent, slow or one of too many.
#include "server/http/http_listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/socket_client.h"

namespace heed {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

constexpr char kGet[] = "GET /page HTTP/1.0\r\n\r\n";
constexpr char kGetAndStay[] = "GET /page HTTP/1.1\r\nHost: h\r\n\r\n";

class HttpListenerTest : public ::testing::Test {
 protected:
  absl::Status Start() {
    HttpRoutes routes;
    routes["/page"] = [](const HttpRequest&) { return HttpResponse{.body = "the page\n"}; };
    // More than the system takes for a client that reads nothing.
    routes["/endless"] = [](const HttpRequest&) { return HttpResponse{.body = std::string(64 << 20, 'x')}; };
    absl::StatusOr<std::unique_ptr<HttpListener>> listener = HttpListener::Start(options_, std::move(routes));
    if (!listener.ok()) return listener.status();
    listener_ = *std::move(listener);
    return absl::OkStatus();
  }

  HttpListenerTest() { options_.metrics_address = "127.0.0.1:0"; }

  // The best of several: what the machine does besides is not the listener's.
  absl::Duration TimeToPage() {
    absl::Duration best = absl::InfiniteDuration();
    for (int i = 0; i < 20; ++i) {
      const absl::Time start = absl::Now();
      EXPECT_THAT(SocketClient(listener_->port()).Ask(kGet), EndsWith("the page\n"));
      best = std::min(best, absl::Now() - start);
    }
    return best;
  }

  ServerOptions options_;
  std::unique_ptr<HttpListener> listener_;
};

TEST_F(HttpListenerTest, SilentAndHalfSentClientsDelayNobody) {
  ASSERT_TRUE(Start().ok());
  std::vector<SocketClient> clients;
  for (int i = 0; i < 120; ++i) {
    clients.emplace_back(listener_->port());
    if (i % 2 == 1) {
      EXPECT_TRUE(clients.back().Send("GET /page HTTP/1.1\r\nHos"));
    }
  }
  EXPECT_LT(TimeToPage(), absl::Milliseconds(50));
  EXPECT_TRUE(clients[1].Send("t: h\r\n\r\n"));
  EXPECT_THAT(clients[1].ReadUntil("the page\n"), StartsWith("HTTP/1.1 200 OK\r\n")) << "it may still finish";
}

TEST_F(HttpListenerTest, OneThatReadsNothingDelaysNobodyAndIsClosedInTime) {
  options_.http.request_time = absl::Milliseconds(300);
  ASSERT_TRUE(Start().ok());
  std::vector<SocketClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(listener_->port());
    EXPECT_TRUE(clients.back().Send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n"));
  }
  EXPECT_LT(TimeToPage(), absl::Milliseconds(50));
  while (listener_->stats().open > 0) std::this_thread::yield();
  for (SocketClient& client : clients) EXPECT_LT(client.ReadToEnd().size(), std::size_t{64} << 20);
}

TEST_F(HttpListenerTest, TheLongestSilentMakesRoomForWhoComes) {
  options_.http.max_connections = 8;
  ASSERT_TRUE(Start().ok());
  std::vector<SocketClient> clients;
  for (int i = 0; i < 8; ++i) clients.emplace_back(listener_->port());
  // A connection that is taken in after the first has spoken was silent for less time than it.
  while (listener_->stats().open < 8) std::this_thread::yield();
  EXPECT_TRUE(clients[0].Send(kGetAndStay));
  clients[0].ReadUntil("the page\n");  // it is the last that said something now
  for (int i = 0; i < 3; ++i) clients.emplace_back(listener_->port());
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(clients[i].IsClosed()) << i;
  EXPECT_TRUE(clients[0].Send(kGetAndStay));
  EXPECT_THAT(clients[0].ReadUntil("the page\n"), EndsWith("the page\n")) << "this one stays";
  EXPECT_TRUE(clients.back().Send(kGetAndStay));
  EXPECT_THAT(clients.back().ReadUntil("the page\n"), EndsWith("the page\n")) << "and this one is in";
  EXPECT_EQ(listener_->stats().open, 8);
  EXPECT_EQ(listener_->stats().faults.at("made_room"), 3);
}

TEST_F(HttpListenerTest, ManyMoreThanMayBeOpenAreBoundedAndKeepNobodyOut) {
  options_.http.max_connections = 16;
  ASSERT_TRUE(Start().ok());
  std::vector<SocketClient> clients;
  for (int i = 0; i < 500; ++i) clients.emplace_back(listener_->port());
  EXPECT_LT(TimeToPage(), absl::Milliseconds(50));
  EXPECT_TRUE(clients[400].IsClosed());
  EXPECT_LE(listener_->stats().open, 16) << "none of them lingers";
}

TEST_F(HttpListenerTest, SilentConnectionsAreClosedInTime) {
  options_.http.request_time = absl::Milliseconds(100);
  options_.http.idle_time = absl::Milliseconds(100);
  ASSERT_TRUE(Start().ok());
  SocketClient silent(listener_->port()), half(listener_->port()), idle(listener_->port());
  EXPECT_TRUE(half.Send("GET /pa"));
  EXPECT_TRUE(idle.Send(kGetAndStay));
  EXPECT_EQ(silent.ReadToEnd(), "");
  EXPECT_THAT(half.ReadToEnd(), StartsWith("HTTP/1.1 408 Request Timeout\r\n"));
  EXPECT_THAT(idle.ReadToEnd(), EndsWith("the page\n"));
}

TEST_F(HttpListenerTest, FaultsAreAnsweredBeforeTheConnectionGoes) {
  ASSERT_TRUE(Start().ok());
  // More than was looked at is still to be read: a connection closed over it would be reset, and its last words lost.
  const std::string header(60 << 10, 'a');
  EXPECT_THAT(SocketClient(listener_->port()).Ask(header), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(SocketClient(listener_->port()).Ask("\x16\x03\x01\x02"), StartsWith("HTTP/1.1 400 "));
}

TEST_F(HttpListenerTest, AClientThatSendsNoMoreIsAnswered) {
  ASSERT_TRUE(Start().ok());
  SocketClient client(listener_->port());
  EXPECT_TRUE(client.Send(absl::StrCat(kGetAndStay, kGetAndStay)));
  client.End();
  const std::string answers = client.ReadToEnd();
  EXPECT_EQ(std::count(answers.begin(), answers.end(), '\n'), 2 * 9) << answers;
}

TEST_F(HttpListenerTest, ListensOnIpv6AndThereOnIpv4Too) {
  options_.metrics_address = "[::]:0";
  ASSERT_TRUE(Start().ok());
  EXPECT_THAT(SocketClient(listener_->port(), AF_INET6).Ask(kGet), EndsWith("the page\n"));
  EXPECT_THAT(SocketClient(listener_->port()).Ask(kGet), EndsWith("the page\n"));
}

TEST_F(HttpListenerTest, APortInUseIsOneLine) {
  ASSERT_TRUE(Start().ok());
  options_.metrics_address = absl::StrCat("127.0.0.1:", listener_->port());
  const auto second = HttpListener::Start(options_, {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(second.status().message(),
            absl::StrCat("cannot listen on --metrics_address ", options_.metrics_address, ": Address already in use"));
}

TEST_F(HttpListenerTest, TlsFilesThatAreNoneAreOneLine) {
  options_.http.tls = true;
  options_.tls.cert = "/nowhere/cert.pem";
  EXPECT_EQ(Start().message(), "--tls_cert is /nowhere/cert.pem; it must be a readable PEM file");
}

}  // namespace
}  // namespace heed
