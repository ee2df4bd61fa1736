// What a server does besides answering: health, its threads, overload, drain.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/server/rpc/running_rpc_server.h"

namespace heed {
namespace {

using ::testing::HasSubstr;

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
  // Heard even though nothing is in flight, so that connections close at once.
  EXPECT_TRUE(whole->Read(&response));
  EXPECT_EQ(response.status(), Response::NOT_SERVING);
  EXPECT_FALSE(whole->Read(&response)) << "the connection closes";
  EXPECT_FALSE(unserved->Read(&response)) << "nothing changed for this one";
  // Not CANCELLED, which says nothing of trying elsewhere.
  EXPECT_EQ(whole->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(unserved->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
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

// Retires the model, which the puppet scheduler lets go at once, and says when it is given back.
void Retire(Core* core, const std::string& version, absl::Notification* over) {
  const absl::Status status =
      RetireModel(core, "echo", version, [over](const std::unique_ptr<ServedModel>&) { over->Notify(); });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(ServerTest, ARetiredModelIsKeptForTheRequestThatHasItAndThenItAndItsCountersAreGone) {
  PuppetScheduler* puppet = StartServerWithPuppet();
  v1::TranslateResponse response;
  grpc::Status status;
  std::thread client([&] {
    grpc::ClientContext context;
    status = Translate(Request({"hello"}), &response, &context);
  });
  const std::unique_ptr<WorkItem> item = puppet->WaitForItem();
  absl::Notification over;
  Retire(core_.get(), "1", &over);
  EXPECT_TRUE(core_->registry->models().empty());
  v1::TranslateResponse refused;
  grpc::ClientContext late;
  EXPECT_EQ(Translate(Request({"hello"}), &refused, &late).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_FALSE(over.HasBeenNotified());
  EXPECT_THAT(Metrics(), HasSubstr("model=\"echo\""));
  Echo(item.get());
  client.join();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.results(0).output().text(), "hello");
  over.WaitForNotification();
  EXPECT_THAT(Metrics(), ::testing::Not(HasSubstr("model=\"echo\"")));
}

TEST_F(ServerTest, VersionsComeAndGoWhileEveryRequestIsAnswered) {
  StartServer();
  constexpr int kVersions = 20;
  std::atomic<int> newest = 1, answered = 0;
  std::atomic<bool> stop = false;
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&] {
      while (!stop) {
        v1::TranslateRequest request = Request({"hello world", "good day"});
        request.mutable_model()->set_name("echo");
        request.mutable_model()->set_version(std::to_string(newest));
        v1::TranslateResponse response;
        grpc::ClientContext context;
        const grpc::Status status = Translate(request, &response, &context);
        // Its version may have gone between the choice and the call; what was accepted is answered.
        EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::NOT_FOUND) << status.error_message();
        if (status.ok()) ++answered;
      }
    });
  }
  std::deque<absl::Notification> over;
  for (int version = 2; version <= kVersions; ++version) {
    const auto served = ServeModel(core_.get(), FakeModel({.version = std::to_string(version)}));
    ASSERT_TRUE(served.ok()) << served.status();
    const int old = newest.exchange(version);
    const int before = answered;
    while (answered == before) std::this_thread::yield();
    Retire(core_.get(), std::to_string(old), &over.emplace_back());
  }
  for (const absl::Notification& each : over) each.WaitForNotification();
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(core_->scheduler->stats().models, 1);
  EXPECT_THAT(Metrics(), ::testing::Not(HasSubstr("version=\"19\"")));
}

TEST_F(ServerTest, AVersionThatIsServedIsNotServedAgainAndLeavesNothing) {
  StartServer();
  EXPECT_EQ(ServeModel(core_.get(), FakeModel()).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(core_->scheduler->stats().models, 1);
  core_->scheduler->Drain(absl::ZeroDuration());
  EXPECT_EQ(ServeModel(core_.get(), FakeModel({.version = "2"})).status().code(), absl::StatusCode::kUnavailable);
  absl::Notification over;
  Retire(core_.get(), "1", &over);
  EXPECT_TRUE(over.HasBeenNotified()) << "the scheduler has let go of it";
}

}  // namespace
}  // namespace heed
