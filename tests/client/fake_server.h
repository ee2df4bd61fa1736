// A heed server in this process that does as the test says: each text is answered by its upper-case self, unless a
// script of failures comes first. Listens on a free port of the loopback.
//
// Thread-safe.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <algorithm>
#include <cctype>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "heed/v1/model.grpc.pb.h"
#include "heed/v1/summarization.grpc.pb.h"
#include "heed/v1/translation.grpc.pb.h"

namespace heed {

// A failure to answer with, once.
struct ScriptedFailure {
  grpc::Status status;
  std::string pushback_ms;  // empty: no trailer
};

class FakeServer : private v1::TranslationService::Service,
                   private v1::SummarizationService::Service,
                   private v1::ModelService::Service {
 public:
  FakeServer() {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(static_cast<v1::TranslationService::Service*>(this));
    builder.RegisterService(static_cast<v1::SummarizationService::Service*>(this));
    builder.RegisterService(static_cast<v1::ModelService::Service*>(this));
    server_ = builder.BuildAndStart();
    server_->GetHealthCheckService()->SetServingStatus("heed.v1.TranslationService", true);
  }
  ~FakeServer() override { server_->Shutdown(); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  std::shared_ptr<grpc::Channel> Channel() { return server_->InProcessChannel(grpc::ChannelArguments()); }
  void SetServing(bool serving) { server_->GetHealthCheckService()->SetServingStatus(serving); }

  // The next calls fail so, in this order.
  void Fail(std::vector<ScriptedFailure> failures) {
    absl::MutexLock lock(&mu_);
    failures_.insert(failures_.end(), failures.begin(), failures.end());
  }
  // The next stream fails so after its first delta.
  void FailStream(const grpc::Status& status) {
    absl::MutexLock lock(&mu_);
    stream_failure_ = status;
  }
  // Changes what an output is like.
  void SetDecorator(std::function<void(const std::string& text, v1::TextResult* result)> decorate) {
    absl::MutexLock lock(&mu_);
    decorate_ = std::move(decorate);
  }
  // Runs at the start of each call, outside of locks; it may wait.
  void SetHook(std::function<void()> hook) {
    SetContextHook([hook = std::move(hook)](grpc::ServerContext*) { hook(); });
  }
  void SetContextHook(std::function<void(grpc::ServerContext*)> hook) {
    absl::MutexLock lock(&mu_);
    hook_ = std::move(hook);
  }
  void SetModels(v1::ListModelsResponse models) {
    absl::MutexLock lock(&mu_);
    models_ = std::move(models);
  }

  // What GetModel gives as spec_json.
  void SetSpec(std::string spec_json) {
    absl::MutexLock lock(&mu_);
    spec_json_ = std::move(spec_json);
  }

  int calls() const {
    absl::MutexLock lock(&mu_);
    return calls_;
  }
  // Requests that came, Summarize's as Translate's.
  std::vector<v1::TranslateRequest> requests() const {
    absl::MutexLock lock(&mu_);
    return requests_;
  }

 private:
  grpc::Status Translate(grpc::ServerContext* context, const v1::TranslateRequest* request,
                         v1::TranslateResponse* response) override {
    grpc::Status status = Begin(context);
    if (!status.ok()) return status;
    absl::MutexLock lock(&mu_);
    requests_.push_back(*request);
    Answer(request->texts(), response);
    return status;
  }

  grpc::Status Summarize(grpc::ServerContext* context, const v1::SummarizeRequest* request,
                         v1::SummarizeResponse* response) override {
    grpc::Status status = Begin(context);
    if (!status.ok()) return status;
    absl::MutexLock lock(&mu_);
    v1::TranslateRequest same;
    same.ParseFromString(request->SerializeAsString());  // the two have the same fields
    requests_.push_back(std::move(same));
    Answer(request->texts(), response);
    return status;
  }

  // Each text's upper-case self as two deltas, then its result.
  grpc::Status StreamTranslate(grpc::ServerContext* context, const v1::StreamTranslateRequest* request,
                               grpc::ServerWriter<v1::StreamTranslateResponse>* writer) override {
    v1::TranslateResponse whole;
    grpc::Status status = Translate(context, &request->request(), &whole);
    if (!status.ok()) return status;
    v1::StreamTranslateResponse response;
    response.mutable_event()->mutable_model()->set_name("fake");
    writer->Write(response);
    for (int text = 0; text < whole.results_size(); ++text) {
      const std::string& all = whole.results(text).output().text();
      for (const std::string& part : {all.substr(0, all.size() / 2), all.substr(all.size() / 2)}) {
        response.mutable_event()->mutable_progress()->set_text(text);
        response.mutable_event()->mutable_progress()->set_delta(part);
        writer->Write(response);
        if (auto failure = TakeStreamFailure(); !failure.ok()) return failure;
      }
      response.mutable_event()->mutable_result()->set_text(text);
      *response.mutable_event()->mutable_result()->mutable_result() = whole.results(text);
      writer->Write(response);
    }
    return status;
  }

  grpc::Status TakeStreamFailure() {
    absl::MutexLock lock(&mu_);
    return std::exchange(stream_failure_, grpc::Status::OK);
  }

  grpc::Status ListModels(grpc::ServerContext* context, const v1::ListModelsRequest*,
                          v1::ListModelsResponse* response) override {
    grpc::Status status = Begin(context);
    absl::MutexLock lock(&mu_);
    *response = models_;
    return status;
  }

  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        v1::GetModelResponse* response) override {
    grpc::Status status = Begin(context);
    response->mutable_model()->set_name(request->name());
    response->mutable_model()->set_version(request->has_version() ? request->version() : "newest");
    response->mutable_model()->set_source_language("ko");
    response->set_card("# The card\n");
    absl::MutexLock lock(&mu_);
    response->set_spec_json(spec_json_);
    response->set_parity_json(R"({"reference": "somebody", "cases": [{}, {}]})");
    return status;
  }

  // The next failure of the script, if there is one.
  grpc::Status Begin(grpc::ServerContext* context) {
    std::function<void(grpc::ServerContext*)> hook;
    {
      absl::MutexLock lock(&mu_);
      hook = hook_;
    }
    if (hook) hook(context);
    absl::MutexLock lock(&mu_);
    ++calls_;
    if (failures_.empty()) return grpc::Status::OK;
    const ScriptedFailure failure = failures_.front();
    failures_.pop_front();
    if (!failure.pushback_ms.empty()) context->AddTrailingMetadata("grpc-retry-pushback-ms", failure.pushback_ms);
    return failure.status;
  }

  template <typename Texts, typename Response>
  void Answer(const Texts& texts, Response* response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    for (const std::string& text : texts) {
      v1::TextResult* const result = response->add_results();
      std::string upper = text;
      std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
      result->mutable_output()->set_text(upper);
      if (decorate_) decorate_(text, result);
    }
    response->mutable_model()->set_name("fake");
  }

  int port_ = 0;
  mutable absl::Mutex mu_;
  std::deque<ScriptedFailure> failures_ ABSL_GUARDED_BY(mu_);
  std::function<void(const std::string&, v1::TextResult*)> decorate_ ABSL_GUARDED_BY(mu_);
  std::function<void(grpc::ServerContext*)> hook_ ABSL_GUARDED_BY(mu_);
  v1::ListModelsResponse models_ ABSL_GUARDED_BY(mu_);
  std::string spec_json_ ABSL_GUARDED_BY(mu_) = R"({"source_scripts": {"scripts": ["Hang"]}})";
  grpc::Status stream_failure_ ABSL_GUARDED_BY(mu_);
  int calls_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<v1::TranslateRequest> requests_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace heed
