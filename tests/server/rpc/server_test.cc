// The RPC layer over loopback with the real scheduler and an engine that echoes.
#include "server/rpc/server.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <thread>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "heed/v1/model.grpc.pb.h"
#include "heed/v1/summarization.grpc.pb.h"
#include "heed/v1/translation.grpc.pb.h"
#include "tests/server/admission/fake_model.h"
#include "tests/support/fake_clock.h"

namespace heed {
namespace {

using ::testing::HasSubstr;

// A scheduler whose items wait until the test answers them.
class PuppetScheduler : public Scheduler {
 public:
  absl::Status Schedule(std::unique_ptr<WorkItem>& item) override {
    absl::MutexLock lock(&mu_);
    if (full_) return absl::ResourceExhaustedError("the queue is full: 4096 of 4096 segments wait");
    items_.push_back(std::move(item));
    return absl::OkStatus();
  }
  absl::Status CheckRoom(const WorkItem&) const override { return absl::OkStatus(); }
  void Nudge() override {
    absl::MutexLock lock(&mu_);
    ++nudges_;
  }
  // Ends everything, as a drain whose time is over.
  void Drain(absl::Duration) override {
    std::vector<std::unique_ptr<WorkItem>> items;
    {
      absl::MutexLock lock(&mu_);
      items.swap(items_);
    }
    for (auto& item : items) item->done({.status = absl::UnavailableError("drain time over")});
  }
  SchedulerStats stats() const override {
    absl::MutexLock lock(&mu_);
    return {.queued_jobs = crowded_ ? 2 : 0, .max_rows = 1};
  }

  void SetCrowded(bool crowded) {
    absl::MutexLock lock(&mu_);
    crowded_ = crowded;
  }

  void SetFull() {
    absl::MutexLock lock(&mu_);
    full_ = true;
  }
  std::unique_ptr<WorkItem> WaitForItem() {
    absl::MutexLock lock(&mu_);
    const auto has_item = [this] {
      mu_.AssertHeld();
      return !items_.empty();
    };
    mu_.Await(absl::Condition(&has_item));
    std::unique_ptr<WorkItem> item = std::move(items_.back());
    items_.pop_back();
    return item;
  }
  void WaitForNudge() {
    absl::MutexLock lock(&mu_);
    const auto nudged = [this] {
      mu_.AssertHeld();
      return nudges_ > 0;
    };
    mu_.Await(absl::Condition(&nudged));
  }

 private:
  mutable absl::Mutex mu_;
  std::vector<std::unique_ptr<WorkItem>> items_ ABSL_GUARDED_BY(mu_);
  int nudges_ ABSL_GUARDED_BY(mu_) = 0;
  bool full_ ABSL_GUARDED_BY(mu_) = false;
  bool crowded_ ABSL_GUARDED_BY(mu_) = false;
};

// Answers an item as the echo engine would.
void Echo(WorkItem* item) {
  std::vector<DecodeResult> results;
  for (const DecodeJob& job : item->jobs) {
    EchoEngine engine(64, 512);
    StepReport report;
    engine.Admit(1, &job);
    while (report.finished.empty()) engine.Step(&report);
    results.push_back(engine.Take(1));
  }
  const JobTiming timing{absl::Milliseconds(1), absl::Milliseconds(2), absl::Milliseconds(3)};
  item->done({.results = std::move(results), .timings = std::vector<JobTiming>(item->jobs.size(), timing)});
}

class ServerTest : public ::testing::Test {
 protected:
  void StartServer() {
    options_.address = "127.0.0.1:0";
    core_ = std::make_unique<Core>(options_);
    v1::ModelSummary failed;
    failed.set_folder("broken");
    failed.set_error("weights.safetensors: is cut short");
    core_->registry = FakeRegistry({{.split_sentences = true}}, {failed});
    MetricsOptions metrics;
    for (const auto& model : core_->registry->models()) metrics.models.push_back(model->summary);
    core_->metrics = *Metrics::Start(metrics);
    core_->admission = std::make_unique<Admission>(core_->registry.get(), options_.admission);
    if (puppet_ != nullptr) {
      core_->scheduler = std::move(puppet_);
    } else {
      const Registry* registry = core_->registry.get();
      core_->scheduler = Scheduler::Start(
          {.workers = 1}, 1, [registry](int i) { return registry->models()[i]->plan->MakeEngine(); },
          core_->metrics.get(), core_->clock);
    }
    core_->text_pool = std::make_unique<TextPool>(1);
    auto server = RpcServer::Start(core_.get());
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->port()), grpc::InsecureChannelCredentials());
    translation_ = v1::TranslationService::NewStub(channel_);
    models_ = v1::ModelService::NewStub(channel_);
  }

  PuppetScheduler* StartServerWithPuppet() {
    puppet_ = std::make_unique<PuppetScheduler>();
    PuppetScheduler* puppet = puppet_.get();
    StartServer();
    return puppet;
  }

  // A call with a deadline that only a hanging server meets.
  static void SetDeadline(grpc::ClientContext* context) {
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  }

  grpc::Status Translate(const v1::TranslateRequest& request, v1::TranslateResponse* response,
                         grpc::ClientContext* context) {
    SetDeadline(context);
    return translation_->Translate(context, request, response);
  }

  grpc::health::v1::HealthCheckResponse::ServingStatus Health(const std::string& service) {
    grpc::ClientContext context;
    SetDeadline(&context);
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    grpc::health::v1::HealthCheckResponse response;
    const grpc::Status status = grpc::health::v1::Health::NewStub(channel_)->Check(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.status();
  }

  std::string Metrics() { return core_->metrics->Render(); }

  ServerOptions options_;
  std::unique_ptr<PuppetScheduler> puppet_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::TranslationService::Stub> translation_;
  std::unique_ptr<v1::ModelService::Stub> models_;
};

v1::TranslateRequest Request(std::vector<std::string> texts) {
  v1::TranslateRequest request;
  for (std::string& text : texts) request.add_texts(std::move(text));
  return request;
}

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

TEST_F(ServerTest, HealthIsToldOverallAndPerService) {
  using Response = grpc::health::v1::HealthCheckResponse;
  StartServer();
  EXPECT_EQ(Health(""), Response::SERVING);
  EXPECT_EQ(Health("heed.v1.TranslationService"), Response::SERVING);
  EXPECT_EQ(Health("heed.v1.ModelService"), Response::SERVING);
  // No model summarises.
  EXPECT_EQ(Health("heed.v1.SummarizationService"), Response::NOT_SERVING);
}

TEST_F(ServerTest, HealthOfAServiceThatThereIsNotIsNotFoundOrWatchedAsUnknown) {
  using Response = grpc::health::v1::HealthCheckResponse;
  StartServer();
  const auto health = grpc::health::v1::Health::NewStub(channel_);
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("nothing");
  grpc::ClientContext check, watch;
  SetDeadline(&check);
  Response response;
  EXPECT_EQ(health->Check(&check, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
  SetDeadline(&watch);
  const auto stream = health->Watch(&watch, request);
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status(), Response::SERVICE_UNKNOWN);
  watch.TryCancel();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ServerTest, WatchersAreToldWhenTheServerDrains) {
  using Response = grpc::health::v1::HealthCheckResponse;
  StartServer();
  const auto health = grpc::health::v1::Health::NewStub(channel_);
  grpc::ClientContext all, none, gone;
  Response response;
  SetDeadline(&all);
  const auto whole = health->Watch(&all, {});
  ASSERT_TRUE(whole->Read(&response));
  EXPECT_EQ(response.status(), Response::SERVING);
  grpc::health::v1::HealthCheckRequest summaries;
  summaries.set_service("heed.v1.SummarizationService");
  SetDeadline(&none);
  const auto unserved = health->Watch(&none, summaries);
  ASSERT_TRUE(unserved->Read(&response));
  EXPECT_EQ(response.status(), Response::NOT_SERVING);
  {  // one that does not stay
    SetDeadline(&gone);
    const auto stream = health->Watch(&gone, {});
    ASSERT_TRUE(stream->Read(&response));
    gone.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  std::thread drain([this] { EXPECT_TRUE(server_->Drain()); });
  ASSERT_TRUE(whole->Read(&response));
  EXPECT_EQ(response.status(), Response::NOT_SERVING);
  EXPECT_FALSE(whole->Read(&response)) << "the connection closes";
  EXPECT_FALSE(unserved->Read(&response)) << "nothing changed for this one";
  EXPECT_FALSE(whole->Finish().ok());
  EXPECT_FALSE(unserved->Finish().ok());
  drain.join();
}

TEST_F(ServerTest, SeveralPollingThreadsServeAllConnections) {
  static constexpr const char* kWords[] = {"hello", "world", "good", "day"};
  options_.polling_threads = 3;
  StartServer();
  std::vector<std::thread> clients;
  for (int client = 0; client < 8; ++client) {
    clients.emplace_back([this, client] {
      grpc::ChannelArguments own;
      own.SetInt("client", client);  // a connection of its own
      const auto stub = v1::TranslationService::NewStub(grpc::CreateCustomChannel(
          "127.0.0.1:" + std::to_string(server_->port()), grpc::InsecureChannelCredentials(), own));
      for (int i = 0; i < 50; ++i) {
        grpc::ClientContext context;
        SetDeadline(&context);
        v1::TranslateResponse response;
        const std::string text = std::string(kWords[client % 4]) + " " + kWords[i % 4];
        const grpc::Status status = stub->Translate(&context, Request({text}), &response);
        ASSERT_TRUE(status.ok()) << status.error_message();
        EXPECT_EQ(response.results(0).output().text(), text);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(server_->Drain());
  EXPECT_THAT(Metrics(),
              HasSubstr("heed_requests_total{code=\"OK\",model=\"echo\",rpc=\"Translate\",version=\"1\"} 400"));
}

TEST_F(ServerTest, ACrowdedServerAnswersAllTheSameAndDrains) {
  PuppetScheduler* puppet = StartServerWithPuppet();
  puppet->SetCrowded(true);
  for (int i = 0; i < 20; ++i) {
    std::thread client([this] {
      grpc::ClientContext context;
      v1::TranslateResponse response;
      EXPECT_TRUE(Translate(Request({"hello"}), &response, &context).ok());
    });
    Echo(puppet->WaitForItem().get());
    client.join();
    puppet->SetCrowded(i % 4 != 0);  // in and out of it
  }
  puppet->SetCrowded(true);
  EXPECT_EQ(Health(""), grpc::health::v1::HealthCheckResponse::SERVING);
  EXPECT_TRUE(server_->Drain());
}

TEST_F(ServerTest, ADrainFinishesWhatWasAcceptedAndTakesNothingNew) {
  PuppetScheduler* puppet = StartServerWithPuppet();
  std::thread client([this] {
    grpc::ClientContext context;
    v1::TranslateResponse response;
    const grpc::Status status = Translate(Request({"hello"}), &response, &context);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.results(0).output().text(), "hello");
  });
  std::unique_ptr<WorkItem> item = puppet->WaitForItem();
  bool finished = false;
  std::thread drain([&] { finished = server_->Drain(); });
  // The gate is shut from some moment on; until then calls would be let in and wait.
  while (Health("") == grpc::health::v1::HealthCheckResponse::SERVING) std::this_thread::yield();
  while (core_->gate.Enter().ok()) core_->gate.Leave();
  grpc::ClientContext context;
  v1::TranslateResponse response;
  const grpc::Status refused = Translate(Request({"hello"}), &response, &context);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(refused.error_message(), HasSubstr("shutting down"));
  Echo(item.get());
  client.join();
  drain.join();
  EXPECT_TRUE(finished);
}

TEST_F(ServerTest, WhatOutlastsTheDrainTimeIsAnsweredUnavailable) {
  options_.drain_time = absl::ZeroDuration();
  puppet_ = std::make_unique<PuppetScheduler>();
  PuppetScheduler* puppet = puppet_.get();
  StartServer();
  std::thread client([this] {
    grpc::ClientContext context;
    v1::TranslateResponse response;
    EXPECT_EQ(Translate(Request({"hello"}), &response, &context).error_code(), grpc::StatusCode::UNAVAILABLE);
  });
  std::unique_ptr<WorkItem> item = puppet->WaitForItem();
  ASSERT_TRUE(puppet->Schedule(item).ok());  // back with the scheduler, as running work is
  EXPECT_FALSE(server_->Drain());
  client.join();
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

}  // namespace
}  // namespace heed
