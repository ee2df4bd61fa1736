#include "server/rpc/server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status_macros.h"
#include "heed/v1/model.grpc.pb.h"
#include "heed/v1/summarization.grpc.pb.h"
#include "heed/v1/translation.grpc.pb.h"
#include "server/lifecycle/log.h"
#include "server/rpc/calls.h"

namespace heed {
namespace {

// After a drain only health watchers and reflection streams are left; they get this long to close by themselves.
constexpr auto kCloseTime = std::chrono::milliseconds(200);

// Streams of a connection beyond the requests that may be in flight: refusals on their way, and health checks. Past
// them a client's own library queues calls, where nobody hears that the server is full: 10,000 refusals a second that
// take 100 ms each are still heard.
constexpr int kRefusedStreams = 1000;

class TranslationEndpoint
    : public v1::TranslationService::WithRawCallbackMethod_Translate<
          v1::TranslationService::WithRawCallbackMethod_StreamTranslate<v1::TranslationService::Service>> {
 public:
  explicit TranslationEndpoint(Core* core) : core_(core) {}
  grpc::ServerUnaryReactor* Translate(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* reply) override {
    return StartTextCall(Rpc::kTranslate, core_, context, request, reply);
  }
  grpc::ServerWriteReactor<grpc::ByteBuffer>* StreamTranslate(grpc::CallbackServerContext* context,
                                                              const grpc::ByteBuffer* request) override {
    return StartStreamCall(Rpc::kStreamTranslate, core_, context, request);
  }

 private:
  Core* const core_;
};

class SummarizationEndpoint
    : public v1::SummarizationService::WithRawCallbackMethod_Summarize<
          v1::SummarizationService::WithRawCallbackMethod_StreamSummarize<v1::SummarizationService::Service>> {
 public:
  explicit SummarizationEndpoint(Core* core) : core_(core) {}
  grpc::ServerUnaryReactor* Summarize(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* reply) override {
    return StartTextCall(Rpc::kSummarize, core_, context, request, reply);
  }
  grpc::ServerWriteReactor<grpc::ByteBuffer>* StreamSummarize(grpc::CallbackServerContext* context,
                                                              const grpc::ByteBuffer* request) override {
    return StartStreamCall(Rpc::kStreamSummarize, core_, context, request);
  }

 private:
  Core* const core_;
};

class ModelEndpoint : public v1::ModelService::WithRawCallbackMethod_ListModels<
                          v1::ModelService::WithRawCallbackMethod_GetModel<v1::ModelService::Service>> {
 public:
  explicit ModelEndpoint(Core* core) : core_(core) {}
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* reply) override {
    return StartModelCall(Rpc::kListModels, core_, context, request, reply);
  }
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* reply) override {
    return StartModelCall(Rpc::kGetModel, core_, context, request, reply);
  }

 private:
  Core* const core_;
};

// gRPC tells why it cannot listen only to its log. This keeps the system's words for the one line that a person gets,
// and hands the rest to our own log; protobuf's lines (a field that is not UTF-8) too, for a client can make any
// number.
class GrpcLog {
 public:
  static void Install() {
    gpr_set_log_function(&GrpcLog::OnMessage);
    google::protobuf::SetLogHandler([](google::protobuf::LogLevel, const char*, int, const std::string& message) {
      Log(LogLevel::kDebug, "protobuf", {{"message", message}});
    });
  }

  static std::string TakeReason() {
    absl::MutexLock lock(&mu_);
    return std::exchange(Reason(), "");
  }

 private:
  static std::string& Reason() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    static auto* reason = new std::string();
    return *reason;
  }

  static void OnMessage(gpr_log_func_args* args) {
    if (args->severity != GPR_LOG_SEVERITY_ERROR) return;
    Log(LogLevel::kDebug, "grpc", {{"message", std::string(args->message)}});
    constexpr absl::string_view kKey = "os_error:\"";
    const absl::string_view message(args->message);
    const std::size_t at = message.find(kKey);
    if (at == absl::string_view::npos) return;
    const absl::string_view rest = message.substr(at + kKey.size());
    absl::MutexLock lock(&mu_);
    Reason() = std::string(rest.substr(0, rest.find('"')));
  }

  static absl::Mutex mu_;
};

ABSL_CONST_INIT absl::Mutex GrpcLog::mu_(absl::kConstInit);

absl::StatusOr<std::string> ReadPem(const char* flag, const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.is_open() || text.find("-----BEGIN") == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("--", flag, " is ", path, "; it must be a readable PEM file"));
  }
  return text;
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(const TlsOptions& tls) {
  if (tls.cert.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options;
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  HEED_ASSIGN_OR_RETURN(pair.cert_chain, ReadPem("tls_cert", tls.cert));
  HEED_ASSIGN_OR_RETURN(pair.private_key, ReadPem("tls_key", tls.key));
  HEED_ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem("tls_client_ca", tls.client_ca));
  options.pem_key_cert_pairs.push_back(std::move(pair));
  if (!tls.client_ca.empty()) {
    options.client_certificate_request = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  return grpc::SslServerCredentials(options);
}

void SetChannelOptions(const ServerOptions& options, grpc::ServerBuilder* builder) {
  // Off, so that a port in use is an error and not two servers that share it.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  builder->SetMaxSendMessageSize(-1);  // replies are bounded by max_reply_bytes
  builder->SetResourceQuota(grpc::ResourceQuota("heed").Resize(static_cast<std::size_t>(options.max_transport_bytes)));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_requests + kRefusedStreams);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                              static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_time)));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                              static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_timeout)));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Clients may ping every 10 s, with or without calls; faster ones are sent away.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 3);
}

class GrpcServer : public RpcServer {
 public:
  explicit GrpcServer(Core* core) : core_(core), translation_(core), summarization_(core), model_(core) {}
  ~GrpcServer() override { Drain(); }

  absl::Status Listen() {
    GrpcLog::Install();
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    HEED_ASSIGN_OR_RETURN(auto credentials, MakeCredentials(core_->options.tls));
    grpc::ServerBuilder builder;
    SetChannelOptions(core_->options, &builder);
    GrpcLog::TakeReason();
    builder.AddListeningPort(core_->options.address, credentials, &port_);
    builder.RegisterService(&translation_);
    builder.RegisterService(&summarization_);
    builder.RegisterService(&model_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) {
      const std::string reason = GrpcLog::TakeReason();
      return absl::UnavailableError(
          absl::StrCat("cannot listen on --address ", core_->options.address, ": ",
                       reason.empty() ? "the host is not known, or the TLS files do not belong together" : reason));
    }
    SetHealth(true);
    return absl::OkStatus();
  }

  int port() const override { return port_; }

  bool Drain() override {
    if (server_ == nullptr) return true;
    SetHealth(false);
    const bool finished = DrainCore(core_);
    server_->Shutdown(std::chrono::system_clock::now() + kCloseTime);
    server_->Wait();
    server_.reset();
    return finished;
  }

 private:
  bool HasTask(v1::Task task) const {
    for (const auto& model : core_->registry->models()) {
      if (model->summary.task() == task) return true;
    }
    return false;
  }

  void SetHealth(bool serving) {
    grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
    health->SetServingStatus(v1::TranslationService::service_full_name(), serving && HasTask(v1::TASK_TRANSLATE));
    health->SetServingStatus(v1::SummarizationService::service_full_name(), serving && HasTask(v1::TASK_SUMMARIZE));
    health->SetServingStatus(v1::ModelService::service_full_name(), serving);
    health->SetServingStatus("", serving);
  }

  Core* const core_;
  TranslationEndpoint translation_;
  SummarizationEndpoint summarization_;
  ModelEndpoint model_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(Core* core) {
  auto server = std::make_unique<GrpcServer>(core);
  if (absl::Status status = server->Listen(); !status.ok()) return status;
  return server;
}

}  // namespace heed
