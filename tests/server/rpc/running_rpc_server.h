// A server over loopback: the real RPC layer, with a scheduler that echoes or one whose answers the test gives.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpc/health/v1/health.grpc.pb.h"
#include "heed/v1/model.grpc.pb.h"
#include "heed/v1/translation.grpc.pb.h"
#include "server/rpc/server.h"
#include "tests/server/lifecycle/fake_core.h"
#include "tests/server/scheduler/puppet_scheduler.h"

namespace heed {

class ServerTest : public ::testing::Test {
 protected:
  void StartServer() {
    options_.address = "127.0.0.1:0";
    core_ = std::make_unique<Core>(options_);
    v1::ModelSummary failed;
    failed.set_folder("broken");
    failed.set_error("weights.safetensors: is cut short");
    FillCore(core_.get(), std::move(puppet_), {failed});
    core_->text_pool = std::make_unique<TextPool>(text_threads_, TextQueueOptions{.slice = options_.text_slice},
                                                  text_clock_ != nullptr ? text_clock_.get() : core_->clock);
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
  int text_threads_ = 1;               // 0: the test does the text pool's slices
  std::unique_ptr<Clock> text_clock_;  // the text pool's, where it is not the core's
  std::unique_ptr<PuppetScheduler> puppet_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::TranslationService::Stub> translation_;
  std::unique_ptr<v1::ModelService::Stub> models_;
};

inline v1::TranslateRequest Request(std::vector<std::string> texts) {
  v1::TranslateRequest request;
  for (std::string& text : texts) request.add_texts(std::move(text));
  return request;
}

}  // namespace heed
