#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "client/error.h"
#include "client/proxy.h"
#include "google/rpc/status.pb.h"
#include "tests/client/fake_server.h"

namespace heed {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const grpc::Status kUnavailable(grpc::StatusCode::UNAVAILABLE, "draining");
const grpc::Status kExhausted(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full");

class ClientTest : public ::testing::Test {
 protected:
  // Sleeping moves the clock on and is written down.
  Client Make(RetryOptions retry = {}) {
    return Client(server_.Channel(), retry,
                  {[this] { return now_; },
                   [this](absl::Duration duration) {
                     now_ += duration;
                     slept_.push_back(duration);
                   },
                   [] { return 0.0; }});
  }
  absl::Time Deadline() const { return now_ + absl::Seconds(20); }

  static v1::TranslateRequest Request() {
    v1::TranslateRequest request;
    request.add_texts("text");
    return request;
  }

  FakeServer server_;
  absl::Time now_ = absl::Now();
  std::vector<absl::Duration> slept_;
};

TEST_F(ClientTest, CallsEveryRpc) {
  Client client = Make();
  EXPECT_EQ(client.Translate(Request(), Deadline())->results(0).output().text(), "TEXT");
  v1::SummarizeRequest summarize;
  summarize.add_texts("long");
  EXPECT_EQ(client.Summarize(summarize, Deadline())->results(0).output().text(), "LONG");
  v1::GetModelRequest get;
  get.set_name("m");
  EXPECT_EQ(client.GetModel(get, Deadline())->model().name(), "m");
  EXPECT_TRUE(client.ListModels(Deadline()).ok());
}

TEST_F(ClientTest, StreamsAndTriesAgainOnlyBeforeTheFirstEvent) {
  Client client = Make();
  std::string text;
  int events = 0;
  const auto read = [&](const v1::StreamEvent& event) {
    ++events;
    text += event.progress().delta();
  };
  server_.Fail({{grpc::Status(grpc::StatusCode::UNAVAILABLE, "not yet"), ""}});
  EXPECT_TRUE(client.StreamTranslate(Request(), Deadline(), read).ok());
  EXPECT_EQ(text, "TEXT");
  EXPECT_EQ(events, 4) << "model, two deltas, result";
  EXPECT_EQ(slept_.size(), 1U);
  server_.FailStream(grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone"));
  events = 0;
  EXPECT_EQ(client.StreamTranslate(Request(), Deadline(), read), absl::UnavailableError("gone"));
  EXPECT_EQ(events, 2);
  EXPECT_EQ(slept_.size(), 1U) << "what was told is not told twice";
  EXPECT_EQ(client.StreamTranslate(Request(), absl::InfiniteFuture(), read).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ClientTest, ChecksHealth) {
  using grpc::health::v1::HealthCheckResponse;
  Client client = Make();
  EXPECT_EQ(client.CheckHealth("", Deadline()).value(), HealthCheckResponse::SERVING);
  EXPECT_EQ(client.CheckHealth("heed.v1.TranslationService", Deadline()).value(), HealthCheckResponse::SERVING);
  server_.SetServing(false);
  EXPECT_EQ(client.CheckHealth("", Deadline()).value(), HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(client.CheckHealth("nobody", Deadline()).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ClientTest, TriesAgainWhileTheServerIsUnavailable) {
  server_.Fail({{kUnavailable, ""}, {kUnavailable, ""}});
  Client client = Make();
  EXPECT_TRUE(client.Translate(Request(), Deadline()).ok());
  EXPECT_EQ(server_.calls(), 3);
  EXPECT_THAT(slept_, ElementsAre(absl::Milliseconds(100), absl::Milliseconds(200)));
}

TEST_F(ClientTest, GivesUpAfterTheLastAttempt) {
  server_.Fail({{kUnavailable, ""}, {kUnavailable, ""}, {kUnavailable, ""}});
  RetryOptions retry;
  retry.max_attempts = 3;
  Client client = Make(retry);
  const auto reply = client.Translate(Request(), Deadline());
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(reply.status().message(), "draining");
  EXPECT_EQ(server_.calls(), 3);
}

TEST_F(ClientTest, ReturnsWhenAFullServerSays) {
  server_.Fail({{kExhausted, "1500"}, {kExhausted, "10"}});
  Client client = Make();
  EXPECT_TRUE(client.Translate(Request(), Deadline()).ok());
  EXPECT_THAT(slept_, ElementsAre(absl::Milliseconds(1500), absl::Milliseconds(10)));
}

TEST_F(ClientTest, DoesNotReturnToAFullServerThatDoesNotSayWhen) {
  server_.Fail({{kExhausted, ""}});
  Client client = Make();
  EXPECT_EQ(client.Translate(Request(), Deadline()).status().code(), absl::StatusCode::kResourceExhausted);
  server_.Fail({{kExhausted, "-1"}});
  EXPECT_EQ(client.Translate(Request(), Deadline()).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(server_.calls(), 2);
  EXPECT_THAT(slept_, IsEmpty());
}

TEST_F(ClientTest, DoesNotBeginAWaitThatWouldPassTheDeadline) {
  server_.Fail({{kExhausted, "20000"}});
  Client client = Make();
  EXPECT_EQ(client.Translate(Request(), Deadline()).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(server_.calls(), 1);
  EXPECT_THAT(slept_, IsEmpty());
}

TEST_F(ClientTest, DoesNotRepeatWhatCannotHelp) {
  server_.Fail({{grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no"), ""}});
  Client client = Make();
  EXPECT_EQ(client.Translate(Request(), Deadline()).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server_.calls(), 1);
}

TEST_F(ClientTest, WantsADeadline) {
  Client client = Make();
  const auto reply = client.Translate(Request(), absl::InfiniteFuture());
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(reply.status().message()), HasSubstr("deadline"));
  EXPECT_EQ(server_.calls(), 0);
}

TEST_F(ClientTest, EndsAtTheDeadline) {
  Client client = Make();
  EXPECT_EQ(client.Translate(Request(), now_ - absl::Seconds(1)).status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClientTest, DecodesTheDetailsOfAnError) {
  google::rpc::BadRequest bad_request;
  auto* const violation = bad_request.add_field_violations();
  violation->set_field("search.beam_size");
  violation->set_description("is 0; it must be 1 to 16");
  google::rpc::ErrorInfo info;
  info.set_reason("INVALID_FIELD");
  (*info.mutable_metadata())["value"] = "0";
  google::rpc::Status details;
  details.set_code(3);
  details.add_details()->PackFrom(bad_request);
  details.add_details()->PackFrom(info);
  server_.Fail({{grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "bad", details.SerializeAsString()), ""}});
  Client client = Make();
  const absl::Status status = client.Translate(Request(), Deadline()).status();
  ASSERT_THAT(FieldViolations(status), SizeIs(1));
  EXPECT_EQ(FieldViolations(status)[0].field(), "search.beam_size");
  ASSERT_TRUE(ErrorInfoOf(status).has_value());
  EXPECT_EQ(ErrorInfoOf(status)->metadata().at("value"), "0");
}

TEST(Errors, WithoutDetailsOrWithBrokenOnesHaveNone) {
  const absl::Status broken =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "bad", "\xff\xff not a message"));
  EXPECT_EQ(broken.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(broken.message(), "bad");
  EXPECT_THAT(FieldViolations(broken), IsEmpty());
  EXPECT_FALSE(ErrorInfoOf(absl::OkStatus()).has_value());
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
}

TEST(ClientOptions, ThatMakeNoSenseAreRefused) {
  EXPECT_EQ(Client::Make({.address = ""}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Client::Make({.max_receive_bytes = 0}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Client::Make({.tls = true, .tls_key = "key"}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Client::Make({}).ok());
}

TEST(ClientOptions, ReachAServerByAddress) {
  FakeServer server;
  const auto client = Client::Make({.address = server.address()});
  ASSERT_TRUE(client.ok());
  v1::TranslateRequest request;
  request.add_texts("over a socket");
  EXPECT_EQ((*client)->Translate(request, absl::Now() + absl::Seconds(20))->results(0).output().text(),
            "OVER A SOCKET");
}

TEST(Proxies, LoopbackIsKnownInEverySpelling) {
  for (const char* target : {"127.0.0.1:8500",
                             "127.9.8.7:1",
                             "127.1:8500",
                             "localhost:8500",
                             "LocalHost:8500",
                             "localhost.:1",
                             "a.localhost:1",
                             "[::1]:8500",
                             "::1",
                             "[::ffff:127.0.0.1]:1",
                             "0.0.0.0:8500",
                             "[::]:8500",
                             "dns:///localhost:8500",
                             "dns:127.0.0.1:8500",
                             "dns://8.8.8.8/localhost:1",
                             "ipv4:127.0.0.1:1,127.0.0.2:1",
                             "ipv6:[::1]:1",
                             "unix:/run/heed.sock",
                             "unix:///run/heed.sock",
                             "unix-abstract:heed"}) {
    EXPECT_TRUE(IsLoopback(target)) << target;
  }
  for (const char* target : {"heed.example:8500", "10.0.0.1:8500", "128.0.0.1:1", "[2001:db8::1]:8500",
                             "localhost.example:1", "notlocalhost:1", "dns:///heed.example:8500",
                             "ipv4:127.0.0.1:1,10.0.0.1:1", "dns://127.0.0.1/heed.example:1"}) {
    EXPECT_FALSE(IsLoopback(target)) << target;
  }
}

// A variable of this process, as long as this lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }

 private:
  const char* const name_;
};

std::string ProxyOf(const char* target) {
  const std::optional<Proxy> proxy = ProxyFor(target);
  return proxy.has_value() ? proxy->variable + " " + proxy->shown : "none";
}

TEST(Proxies, AreThoseThatGrpcTakesButNeverForLoopback) {
  for (const char* name : {"grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"}) unsetenv(name);
  EXPECT_EQ(ProxyOf("heed.example:8500"), "none");
  const Variable http("http_proxy", "http://user:secret@proxy:3128");
  EXPECT_EQ(ProxyOf("heed.example:8500"), "http_proxy http://proxy:3128");
  EXPECT_EQ(ProxyOf("127.0.0.1:8500"), "none");
  EXPECT_EQ(ProxyOf("unix:/run/heed.sock"), "none");
  {
    const Variable https("https_proxy", "http://other:1");
    EXPECT_EQ(ProxyOf("heed.example:8500"), "https_proxy http://other:1");
    const Variable grpc("grpc_proxy", "socks5://third:1");
    EXPECT_EQ(ProxyOf("heed.example:8500"), "none") << "gRPC knows no other kind, and goes without";
  }
  const Variable no_proxy("no_proxy", "internal.example, .corp, 10.0.0.0/8,192.0.2.7");
  for (const char* target : {"heed.internal.example:1", "a.corp:1", "corp:1", "10.1.2.3:1", "192.0.2.7:1"}) {
    EXPECT_EQ(ProxyOf(target), "none") << target;
  }
  for (const char* target : {"heed.example:1", "11.1.2.3:1", "[2001:db8::1]:1"}) {
    EXPECT_NE(ProxyOf(target), "none") << target;
  }
  const Variable none("no_grpc_proxy", "*");
  EXPECT_EQ(ProxyOf("heed.example:1"), "none");
}

// Nobody listens there: whoever takes this proxy reaches nothing.
constexpr char kNoProxyThere[] = "http://user:secret@127.0.0.1:1";

TEST(Proxies, LoopbackIsReachedAndAnErrorNamesTheProxyThatWasUsed) {
  const Variable proxy("https_proxy", kNoProxyThere), http("http_proxy", kNoProxyThere);
  FakeServer server;
  const auto near = Client::Make({.address = server.address()});
  ASSERT_TRUE(near.ok());
  EXPECT_TRUE((*near)->CheckHealth("", absl::Now() + absl::Seconds(20)).ok());
  const auto far = Client::Make({.address = "192.0.2.1:8500", .retry = {.max_attempts = 1}});
  ASSERT_TRUE(far.ok());
  const absl::Status status = (*far)->CheckHealth("", absl::Now() + absl::Seconds(20)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(
      std::string(status.message()),
      AllOf(HasSubstr(" (by way of the proxy http://127.0.0.1:1, which https_proxy names)"), Not(HasSubstr("secret"))));
}

}  // namespace
}  // namespace heed
