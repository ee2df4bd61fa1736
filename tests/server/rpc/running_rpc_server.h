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
#include "tests/server/models/fake_model.h"

namespace heed {

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
  SchedulerStats stats() const override { return {}; }

  void SetCrowded(bool crowded) { Publish(crowded ? 2 : 0, /*rows=*/1); }

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
};

// Answers an item as the echo engine would.
inline void Echo(WorkItem* item) {
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
    core_->metrics = Metrics::Make(metrics);
    core_->admission = std::make_unique<Admission>(core_->registry.get(), options_.admission);
    if (puppet_ != nullptr) {
      core_->scheduler = std::move(puppet_);
    } else {
      const Registry* registry = core_->registry.get();
      core_->scheduler = Scheduler::Start(
          {.workers = 1}, 1, [registry](int i) { return registry->models()[i]->plan->MakeEngine().value(); },
          core_->metrics.get(), core_->clock);
    }
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
