// RPCs over loopback with the real scheduler and an engine that echoes.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <thread>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/server/rpc/running_rpc_server.h"
#include "tests/support/fake_clock.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Trailer(const grpc::ClientContext& context, const std::string& key) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(key);
  return found == trailers.end() ? "" : std::string(found->second.data(), found->second.size());
}

// Sends raw bytes to a method.
grpc::Status SendBytes(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                       const std::string& bytes) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  grpc::CompletionQueue queue;
  grpc::Slice slice(bytes);
  auto call = grpc::GenericStub(channel).PrepareUnaryCall(&context, method, grpc::ByteBuffer(&slice, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer reply;
  grpc::Status status;
  call->Finish(&reply, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status;
}

TEST_F(ServerTest, ATranslationComesBackAndIsCounted) {
  StartServer();
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "abc-1");
  v1::TranslateResponse response;
  const grpc::Status status = Translate(Request({"hello world.\n good day", ""}), &response, &context);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.results_size(), 2);
  EXPECT_EQ(response.results(0).output().text(), "hello world.\n good day");
  EXPECT_EQ(response.results(1).output().text(), "");
  EXPECT_EQ(response.model().name(), "echo");
  EXPECT_EQ(Trailer(context, "x-request-id"), "abc-1");
  EXPECT_THAT(Metrics(),
              HasSubstr("heed_requests_total{code=\"OK\",model=\"echo\",rpc=\"Translate\",version=\"1\"} 1"));
  EXPECT_THAT(Metrics(), HasSubstr("heed_source_tokens_total{model=\"echo\",version=\"1\"} 8"));
  EXPECT_THAT(Metrics(), HasSubstr("heed_queue_duration_seconds_count{model=\"echo\",version=\"1\"} 2"));
}

TEST_F(ServerTest, ARequestIdThatIsNotSaneIsReplaced) {
  StartServer();
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "a b");
  v1::TranslateResponse response;
  ASSERT_TRUE(Translate(Request({"hello"}), &response, &context).ok());
  EXPECT_EQ(Trailer(context, "x-request-id").size(), 16U);
}

TEST_F(ServerTest, ARecordedTraceIsAnExemplarOfItsDuration) {
  StartServer();
  const auto translate = [this](const char* traceparent) {
    grpc::ClientContext context;
    context.AddMetadata("traceparent", traceparent);
    v1::TranslateResponse response;
    EXPECT_TRUE(Translate(Request({"hello"}), &response, &context).ok());
    return core_->metrics->Render(MetricsFormat::kOpenMetrics);
  };
  EXPECT_THAT(translate("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"), Not(HasSubstr("trace_id")));
  EXPECT_THAT(translate("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
              HasSubstr(" # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} "));
}

TEST_F(ServerTest, BytesThatAreNoMessageGetInvalidArgumentAndAreCounted) {
  StartServer();
  for (const char* method : {"/heed.v1.TranslationService/Translate", "/heed.v1.SummarizationService/Summarize",
                             "/heed.v1.ModelService/ListModels", "/heed.v1.ModelService/GetModel"}) {
    const grpc::Status status = SendBytes(channel_, method, "\x0a\xff\xff\xff\xff");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_THAT(status.error_message(), HasSubstr("does not parse"));
  }
  EXPECT_EQ(SendBytes(channel_, "/heed.v1.TranslationService/Translate", "\x12\x02\xff\xfe").error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(
      Metrics(),
      HasSubstr(
          "heed_requests_total{code=\"INVALID_ARGUMENT\",model=\"unknown\",rpc=\"Translate\",version=\"unknown\"} 2"));
}

TEST_F(ServerTest, AFieldOutOfBoundsCarriesDetailsAndIsCountedUnderItsModel) {
  StartServer();
  v1::TranslateRequest request = Request({"hello"});
  request.mutable_search()->set_beam_size(10000);
  grpc::ClientContext context;
  v1::TranslateResponse response;
  const grpc::Status status = Translate(request, &response, &context);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "search.beam_size is 10000; it must be 1 to 16");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.details_size(), 2);
  EXPECT_EQ(Trailer(context, "grpc-retry-pushback-ms"), "");
  EXPECT_THAT(Metrics(), HasSubstr("{code=\"INVALID_ARGUMENT\",model=\"echo\",rpc=\"Translate\",version=\"1\"} 1"));
}

TEST_F(ServerTest, AnUnknownModelIsNotFoundUnderTheUnknownLabel) {
  StartServer();
  v1::TranslateRequest request = Request({"hello"});
  request.mutable_model()->set_name("nope");
  grpc::ClientContext context;
  v1::TranslateResponse response;
  EXPECT_EQ(Translate(request, &response, &context).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(Metrics(), HasSubstr("{code=\"NOT_FOUND\",model=\"unknown\",rpc=\"Translate\",version=\"unknown\"} 1"));
}

TEST_F(ServerTest, AFullQueueSaysWhenToTryAgainAndAReplyTooLargeDoesNot) {
  options_.retry_pushback = absl::Milliseconds(123);
  PuppetScheduler* puppet = StartServerWithPuppet();
  puppet->SetFull();
  grpc::ClientContext full;
  v1::TranslateResponse response;
  const grpc::Status status = Translate(Request({"hello"}), &response, &full);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Trailer(full, "grpc-retry-pushback-ms"), "123");

  v1::TranslateRequest request = Request({"hello"});
  request.set_max_reply_bytes(10);
  grpc::ClientContext large;
  EXPECT_EQ(Translate(request, &response, &large).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Trailer(large, "grpc-retry-pushback-ms"), "");
}

TEST_F(ServerTest, MoreRequestsThanTheGateTakesAreRefusedWithARetryTime) {
  options_.max_concurrent_requests = 1;
  PuppetScheduler* puppet = StartServerWithPuppet();
  std::thread first([this] {
    grpc::ClientContext context;
    v1::TranslateResponse response;
    EXPECT_TRUE(Translate(Request({"hello"}), &response, &context).ok());
  });
  std::unique_ptr<WorkItem> item = puppet->WaitForItem();
  grpc::ClientContext context;
  v1::TranslateResponse response;
  const grpc::Status status = Translate(Request({"hello"}), &response, &context);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Trailer(context, "grpc-retry-pushback-ms"), "200");
  Echo(item.get());
  first.join();
}

TEST_F(ServerTest, ACallWithoutADeadlineGetsTheDefaultOne) {
  options_.default_deadline = absl::Seconds(77);
  PuppetScheduler* puppet = StartServerWithPuppet();
  const absl::Time before = core_->clock->Now();
  std::thread client([this] {
    grpc::ClientContext context;
    v1::TranslateResponse response;
    EXPECT_TRUE(translation_->Translate(&context, Request({"hello"}), &response).ok());
  });
  std::unique_ptr<WorkItem> item = puppet->WaitForItem();
  EXPECT_GE(item->deadline, before + absl::Seconds(77));
  EXPECT_LE(item->deadline, core_->clock->Now() + absl::Seconds(77));
  Echo(item.get());
  client.join();
}

// The machine's date may be set while a call waits: a deadline is how long it may take.
TEST_F(ServerTest, ADeadlineIsKeptOnAClockThatHasAnotherDate) {
  PuppetScheduler* puppet = StartServerWithPuppet();
  FakeClock clock;  // in 1970
  core_->clock = &clock;
  std::thread client([this] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::hours(1));
    v1::TranslateResponse response;
    EXPECT_TRUE(translation_->Translate(&context, Request({"hello"}), &response).ok());
  });
  std::unique_ptr<WorkItem> item = puppet->WaitForItem();
  EXPECT_GT(item->deadline, clock.Now() + absl::Minutes(59));
  EXPECT_LE(item->deadline, clock.Now() + absl::Minutes(61));
  Echo(item.get());
  client.join();
  server_->Drain();  // before the clock goes
}

TEST_F(ServerTest, ACancelledCallSetsTheFlagAndNudgesTheScheduler) {
  PuppetScheduler* puppet = StartServerWithPuppet();
  grpc::ClientContext context;
  std::thread client([&] {
    v1::TranslateResponse response;
    EXPECT_EQ(Translate(Request({"hello"}), &response, &context).error_code(), grpc::StatusCode::CANCELLED);
  });
  std::unique_ptr<WorkItem> item = puppet->WaitForItem();
  EXPECT_FALSE(item->cancelled->load());
  context.TryCancel();
  puppet->WaitForNudge();
  EXPECT_TRUE(item->cancelled->load());
  item->done({.status = absl::CancelledError("the client cancelled")});
  client.join();
  EXPECT_TRUE(core_->gate.WaitEmpty(absl::Seconds(10)));
  EXPECT_THAT(Metrics(), HasSubstr("{code=\"CANCELLED\",model=\"echo\",rpc=\"Translate\",version=\"1\"} 1"));
}

TEST_F(ServerTest, ModelsAreListedWithThoseThatFailed) {
  StartServer();
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::ListModelsResponse response;
  ASSERT_TRUE(models_->ListModels(&context, {}, &response).ok());
  ASSERT_EQ(response.models_size(), 2);
  EXPECT_EQ(response.models(0).name(), "echo");
  EXPECT_EQ(response.models(0).state(), v1::MODEL_STATE_READY);
  EXPECT_EQ(response.models(1).folder(), "broken");
  EXPECT_EQ(response.models(1).state(), v1::MODEL_STATE_FAILED);
  EXPECT_EQ(response.models(1).error(), "weights.safetensors: is cut short");
}

TEST_F(ServerTest, AModelIsShownInFull) {
  StartServer();
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::GetModelRequest request;
  request.set_name("echo");
  v1::GetModelResponse response;
  ASSERT_TRUE(models_->GetModel(&context, request, &response).ok());
  EXPECT_EQ(response.model().version(), "1");
  EXPECT_EQ(response.card(), "# Echo\n");
  grpc::ClientContext other;
  SetDeadline(&other);
  request.set_version("2");
  EXPECT_EQ(models_->GetModel(&other, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServerTest, APortInUseIsOneLine) {
  StartServer();
  ServerOptions options = options_;
  options.address = "127.0.0.1:" + std::to_string(server_->port());
  Core second(options);
  second.registry = FakeRegistry({FakeModelOptions{}});
  const absl::Status status = RpcServer::Start(&second).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "cannot listen on --address " + options.address + ": Address already in use");
}

TEST_F(ServerTest, ATlsFileThatIsNoneIsOneLine) {
  options_.address = "127.0.0.1:0";
  options_.tls.cert = "/nonexistent.pem";
  options_.tls.key = "/nonexistent.key";
  Core core(options_);
  core.registry = FakeRegistry({FakeModelOptions{}});
  const absl::Status status = RpcServer::Start(&core).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "--tls_cert is /nonexistent.pem; it must be a readable PEM file");
}

// gRPC's clients compress with either; what they get back is compressed where it pays.
TEST_F(ServerTest, RequestsAndAnswersMayBeCompressed) {
  StartServer();
  const std::vector<std::string> texts(60, "hello world good day");
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    v1::TranslateResponse response;
    const grpc::Status status = Translate(Request(texts), &response, &context);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(response.results_size(), 60);
    for (const v1::TextResult& result : response.results()) EXPECT_EQ(result.output().text(), texts[0]);
  }
}

// Who calls is known by what the edge says; a client cannot say it.
TEST_F(ServerTest, AClientCannotSpeakAsTheEdge) {
  StartServer();
  grpc::ClientContext context;
  context.AddMetadata("heed-edge-gzip", "1");
  context.AddMetadata("heed-edge-address", "192.0.2.1");
  v1::TranslateResponse response;
  std::string text(4000, ' ');
  const grpc::Status status = Translate(Request({"hello" + text + "world"}), &response, &context);
  ASSERT_TRUE(status.ok()) << "an answer that was compressed unasked could not be read: " << status.error_message();
}

}  // namespace
}  // namespace heed
