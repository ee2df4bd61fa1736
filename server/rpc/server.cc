#include "server/rpc/server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "heed/v1/model.grpc.pb.h"
#include "heed/v1/summarization.grpc.pb.h"
#include "heed/v1/translation.grpc.pb.h"
#include "server/lifecycle/log.h"
#include "server/rpc/calls.h"
#include "server/rpc/credentials.h"
#include "server/rpc/health.h"
#include "server/rpc/listener.h"
#include "server/rpc/reflection.h"

namespace heed {
namespace {

// After a drain only health watchers and reflection streams are left; they get this long to close by themselves.
constexpr auto kCloseTime = std::chrono::milliseconds(200);

// Streams of a connection beyond the requests that may be in flight: refusals on their way, and health checks. Past
// them a client's own library queues calls, where nobody hears that the server is full: 10,000 refusals a second that
// take 100 ms each are still heard.
constexpr int kRefusedStreams = 1000;

// Bytes of one request on their way: 5 MB/s at 50 ms.
constexpr int kStreamWindow = 256 << 10;

// One thread takes in some 5,000 requests a second, about what so many cores decode of the shortest.
constexpr int kCoresPerPollingThread = 8;

// Messages are parsed by us (message.h), so services are asked for their calls in raw form.
using TranslationEndpoint = v1::TranslationService::WithRawMethod_Translate<
    v1::TranslationService::WithRawMethod_StreamTranslate<v1::TranslationService::Service>>;
using SummarizationEndpoint = v1::SummarizationService::WithRawMethod_Summarize<
    v1::SummarizationService::WithRawMethod_StreamSummarize<v1::SummarizationService::Service>>;
using ModelEndpoint =
    v1::ModelService::WithRawMethod_ListModels<v1::ModelService::WithRawMethod_GetModel<v1::ModelService::Service>>;

// `request` is a method of the service: RequestTranslate, say.
template <typename Service, typename Base, typename Writer>
AskFor<Writer> MakeAsk(Service* service,
                       void (Base::*request)(grpc::ServerContext*, grpc::ByteBuffer*, Writer*, grpc::CompletionQueue*,
                                             grpc::ServerCompletionQueue*, void*)) {
  return [service, request](grpc::ServerContext* context, grpc::ByteBuffer* bytes, Writer* writer,
                            grpc::ServerCompletionQueue* queue,
                            void* tag) { (service->*request)(context, bytes, writer, queue, queue, tag); };
}

// gRPC's lines go to our own log; protobuf's (a field that is not UTF-8) too, for a client can make any number.
void InstallLibraryLogs() {
  gpr_set_log_function([](gpr_log_func_args* args) {
    if (args->severity != GPR_LOG_SEVERITY_ERROR) return;
    Log(LogLevel::kDebug, "grpc", {{"message", std::string(args->message)}});
  });
  google::protobuf::SetLogHandler([](google::protobuf::LogLevel, const char*, int, const std::string& message) {
    Log(LogLevel::kDebug, "protobuf", {{"message", message}});
  });
}

void SetChannelOptions(const ServerOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  builder->SetMaxSendMessageSize(-1);  // replies are bounded by max_reply_bytes
  builder->SetResourceQuota(grpc::ResourceQuota("heed").Resize(static_cast<std::size_t>(options.max_transport_bytes)));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_requests + kRefusedStreams);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                              static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_time)));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                              static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_timeout)));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // For a new connection's TLS handshake and HTTP/2 preface.
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                              static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_timeout)));
  // The scheduler ends what is past its deadline, and Call what is not read by then: gRPC's timers, one for each call,
  // would wake a thread of their own for it.
  builder->AddChannelArgument(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
  // A window that suits long lines, in place of pings that look for one all the time.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindow);
  builder->AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);  // nobody could ask it
  // Clients may ping every 10 s, with or without calls; faster ones are sent away.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 3);
}

class GrpcServer : public RpcServer {
 public:
  explicit GrpcServer(Core* core) : core_(core) {}
  ~GrpcServer() override { Drain(); }

  absl::Status Listen() {
    InstallLibraryLogs();
    HEED_ASSIGN_OR_RETURN(auto credentials, MakeCredentials(core_->options.tls));
    grpc::ServerBuilder builder;
    SetChannelOptions(core_->options, &builder);
    absl::StatusOr<std::unique_ptr<RpcListener>> listener = RpcListener::Open(core_->options.address, &core_->connections);
    if (!listener.ok()) return CannotListen(listener.status().message());
    listener_ = *std::move(listener);
    using Acceptors = grpc::ServerBuilder::experimental_type;
    acceptor_ =
        builder.experimental().AddExternalConnectionAcceptor(Acceptors::ExternalConnectionType::FROM_FD, credentials);
    builder.RegisterService(&translation_);
    builder.RegisterService(&summarization_);
    builder.RegisterService(&model_);
    builder.RegisterService(health_.service());
    builder.RegisterService(reflection_.service());
    const int threads = core_->options.polling_threads > 0 ? core_->options.polling_threads
                                                           : std::max(1, GrantedCores() / kCoresPerPollingThread);
    for (int i = 0; i < threads; ++i) {
      queues_.push_back(std::make_unique<CallQueue>(builder.AddCompletionQueue(), [this] { return Crowded(); }));
    }
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return CannotListen("gRPC does not start");
    SetHealth(true);
    for (const auto& queue : queues_) {
      AwaitCalls(queue.get());
      queue->Start();
    }
    listener_->Start(core_->options.keepalive_timeout, [this](int fd) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
      connection.fd = fd;
      acceptor_->HandleNewConnection(&connection);
    });
    return absl::OkStatus();
  }

  int port() const override { return listener_->port(); }

  bool Drain() override {
    if (server_ == nullptr) return true;
    SetHealth(false);
    const bool finished = DrainCore(core_);
    listener_->Stop();
    // gRPC would cancel calls that reach it while it shuts down, which tells a client nothing of trying elsewhere.
    core_->connections.HangUp();
    server_->Shutdown(std::chrono::system_clock::now() + kCloseTime);
    for (const auto& queue : queues_) queue->Stop();
    server_->Wait();
    server_.reset();
    return finished;
  }

 private:
  absl::Status CannotListen(absl::string_view reason) const {
    return absl::UnavailableError(absl::StrCat("cannot listen on --address ", core_->options.address, ": ", reason));
  }

  bool HasTask(v1::Task task) const {
    for (const auto& model : core_->registry->models()) {
      if (model->summary.task() == task) return true;
    }
    return false;
  }

  // What comes now waits until as many as are decoded at a time have ended.
  bool Crowded() const {
    const SchedulerStats stats = core_->scheduler->stats();
    return stats.queued_jobs > stats.max_rows;
  }

  void SetHealth(bool serving) {
    health_.Set(v1::TranslationService::service_full_name(), serving && HasTask(v1::TASK_TRANSLATE));
    health_.Set(v1::SummarizationService::service_full_name(), serving && HasTask(v1::TASK_SUMMARIZE));
    health_.Set(v1::ModelService::service_full_name(), serving);
    health_.Set("", serving);
  }

  void AwaitCalls(CallQueue* queue) {
    AwaitTextCalls(Rpc::kTranslate, core_, queue, &translate_);
    AwaitStreamCalls(Rpc::kStreamTranslate, core_, queue, &stream_translate_);
    AwaitTextCalls(Rpc::kSummarize, core_, queue, &summarize_);
    AwaitStreamCalls(Rpc::kStreamSummarize, core_, queue, &stream_summarize_);
    AwaitModelCalls(Rpc::kListModels, core_, queue, &list_models_);
    AwaitModelCalls(Rpc::kGetModel, core_, queue, &get_model_);
    health_.AwaitCalls(queue);
    reflection_.AwaitCalls(queue);
  }

  Core* const core_;
  TranslationEndpoint translation_;
  SummarizationEndpoint summarization_;
  ModelEndpoint model_;
  Health health_;
  Reflection reflection_{{v1::TranslationService::service_full_name(), v1::SummarizationService::service_full_name(),
                          v1::ModelService::service_full_name(), grpc::health::v1::Health::service_full_name(),
                          grpc::reflection::v1alpha::ServerReflection::service_full_name()}};
  const AskUnary translate_ = MakeAsk(&translation_, &TranslationEndpoint::RequestTranslate);
  const AskStream stream_translate_ = MakeAsk(&translation_, &TranslationEndpoint::RequestStreamTranslate);
  const AskUnary summarize_ = MakeAsk(&summarization_, &SummarizationEndpoint::RequestSummarize);
  const AskStream stream_summarize_ = MakeAsk(&summarization_, &SummarizationEndpoint::RequestStreamSummarize);
  const AskUnary list_models_ = MakeAsk(&model_, &ModelEndpoint::RequestListModels);
  const AskUnary get_model_ = MakeAsk(&model_, &ModelEndpoint::RequestGetModel);
  std::vector<std::unique_ptr<CallQueue>> queues_;  // gRPC's server needs them for as long as it is there
  std::unique_ptr<RpcListener> listener_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(Core* core) {
  auto server = std::make_unique<GrpcServer>(core);
  if (absl::Status status = server->Listen(); !status.ok()) return status;
  return server;
}

}  // namespace heed
