#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/error.h"
#include "google/rpc/status.pb.h"
#include "tests/client/fake_server.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
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

}  // namespace
}  // namespace heed
