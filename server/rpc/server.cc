#include "server/rpc/server.h"

#include <google/protobuf/descriptor.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "heed/v1/model.grpc.pb.h"
#include "heed/v1/summarization.grpc.pb.h"
#include "heed/v1/translation.grpc.pb.h"
#include "server/edge/session.h"
#include "server/lifecycle/log.h"
#include "server/net/socket_server.h"
#include "server/net/tls.h"
#include "server/rpc/bridge.h"
#include "server/rpc/calls.h"
#include "server/rpc/health.h"
#include "server/rpc/reflection.h"
#include "server/scheduler/cores.h"

namespace heed {
namespace {

// After a drain only health watchers and reflection streams are left; they get this long to close by themselves.
constexpr auto kCloseTime = std::chrono::milliseconds(200);

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

// gRPC's lines go to our own log; protobuf's do already (StartLog).
void InstallLibraryLogs() {
  gpr_set_log_function([](gpr_log_func_args* args) {
    if (args->severity != GPR_LOG_SEVERITY_ERROR) return;
    Log(LogLevel::kDebug, "grpc", {{"message", std::string(args->message)}});
  });
}

void AddMethods(const google::protobuf::ServiceDescriptor& service, std::size_t max_message_bytes,
                MethodTable* methods) {
  for (int i = 0; i < service.method_count(); ++i) {
    const google::protobuf::MethodDescriptor& method = *service.method(i);
    const Shape shape = method.client_streaming()   ? Shape::kBidi
                        : method.server_streaming() ? Shape::kServerStream
                                                    : Shape::kUnary;
    (*methods)[absl::StrCat("/", service.full_name(), "/", method.name())] = {shape, max_message_bytes};
  }
}

// gRPC inside the process: no connections of its own, no timers, no bounds that the edge has not held already.
grpc::ChannelArguments InsideArguments() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  return arguments;
}

// A polling thread and all that it has: a gRPC server of its own, reached inside the process alone, and the way there.
class Lane {
 public:
  Lane(Core* core, Health* health, const Reflection* reflection)
      : core_(core), health_(health), reflection_(reflection) {}

  absl::Status Build() {
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(-1);
    builder.SetMaxSendMessageSize(-1);
    builder.AddChannelArgument(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
    builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);  // nobody could ask it
    HEED_ASSIGN_OR_RETURN(
        queue_, CallQueue::Make(builder.AddCompletionQueue(), [core = core_] { return core->scheduler->crowded(); }));
    health_service_.emplace(health_, queue_.get());
    reflection_service_.emplace(reflection_, queue_.get());
    for (grpc::Service* service :
         std::initializer_list<grpc::Service*>{&translation_, &summarization_, &model_, health_service_->service()}) {
      builder.RegisterService(service);
    }
    for (grpc::Service* service : reflection_service_->services()) builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return absl::UnavailableError("gRPC does not start");
    bridge_ = MakeBridge(server_->InProcessChannel(InsideArguments()), queue_.get());
    AwaitCalls();
    return absl::OkStatus();
  }

  absl::Status Start() { return queue_->Start(); }

  SocketServer::Lane Socket() {
    return {queue_->loop(),
            [this](Wire* wire) { return std::make_unique<Session>(core_->edge.get(), bridge_.get(), wire); }};
  }

  // What was told so far is on its way to the clients.
  void Settle() { queue_->Settle(); }

  // After the last call has been answered; what is left (watchers) is ended.
  void Stop() {
    if (server_ == nullptr) return;
    queue_->LookOften();
    server_->Shutdown(std::chrono::system_clock::now() + kCloseTime);
    queue_->Stop();
    server_->Wait();
  }

 private:
  void AwaitCalls() {
    CallQueue* const queue = queue_.get();
    AwaitTextCalls(Rpc::kTranslate, core_, queue, &translate_);
    AwaitStreamCalls(Rpc::kStreamTranslate, core_, queue, &stream_translate_);
    AwaitTextCalls(Rpc::kSummarize, core_, queue, &summarize_);
    AwaitStreamCalls(Rpc::kStreamSummarize, core_, queue, &stream_summarize_);
    AwaitModelCalls(Rpc::kListModels, core_, queue, &list_models_);
    AwaitModelCalls(Rpc::kGetModel, core_, queue, &get_model_);
    health_service_->AwaitCalls();
    reflection_service_->AwaitCalls();
  }

  Core* const core_;
  Health* const health_;
  const Reflection* const reflection_;
  TranslationEndpoint translation_;
  SummarizationEndpoint summarization_;
  ModelEndpoint model_;
  const AskUnary translate_ = MakeAsk(&translation_, &TranslationEndpoint::RequestTranslate);
  const AskStream stream_translate_ = MakeAsk(&translation_, &TranslationEndpoint::RequestStreamTranslate);
  const AskUnary summarize_ = MakeAsk(&summarization_, &SummarizationEndpoint::RequestSummarize);
  const AskStream stream_summarize_ = MakeAsk(&summarization_, &SummarizationEndpoint::RequestStreamSummarize);
  const AskUnary list_models_ = MakeAsk(&model_, &ModelEndpoint::RequestListModels);
  const AskUnary get_model_ = MakeAsk(&model_, &ModelEndpoint::RequestGetModel);
  std::unique_ptr<CallQueue> queue_;  // gRPC's server needs it for as long as it is there
  std::optional<HealthService> health_service_;
  std::optional<ReflectionService> reflection_service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Backend> bridge_;
};

class EdgeServer : public RpcServer {
 public:
  explicit EdgeServer(Core* core) : core_(core) {}
  ~EdgeServer() override { Drain(); }

  absl::Status Listen() {
    InstallLibraryLogs();
    const ServerOptions& options = core_->options;
    if (!options.tls.cert.empty()) {
      HEED_ASSIGN_OR_RETURN(tls_, TlsContext::Read(options.tls, "h2", LogReload));
    }
    absl::StatusOr<std::unique_ptr<SocketServer>> sockets =
        SocketServer::Open(SocketOptions(), tls_.get(), &core_->connections);
    if (!sockets.ok()) return CannotListen(sockets.status().message());
    AddAllMethods();
    SetHealth(true);
    const int threads =
        options.polling_threads > 0 ? options.polling_threads : std::max(1, GrantedCores() / kCoresPerPollingThread);
    std::vector<SocketServer::Lane> socket_lanes;
    for (int i = 0; i < threads; ++i) {
      lanes_.push_back(std::make_unique<Lane>(core_, &health_, &reflection_));
      HEED_RETURN_IF_ERROR(lanes_.back()->Build());
      socket_lanes.push_back(lanes_.back()->Socket());
    }
    sockets_ = *std::move(sockets);
    for (const auto& lane : lanes_) HEED_RETURN_IF_ERROR(lane->Start());
    return sockets_->Start(std::move(socket_lanes));
  }

  int port() const override { return sockets_->port(); }

  void ReloadCertificates() override {
    if (tls_ != nullptr) tls_->Reload();
  }

  void StopServingHealth() override { SetHealth(false); }

  bool Drain() override {
    if (sockets_ == nullptr || std::exchange(drained_, true)) return true;
    StopServingHealth();
    const bool finished = DrainCore(core_);
    sockets_->StopAccepting();
    for (const auto& lane : lanes_) lane->Settle();  // watchers hear of it before their connections close
    // What is left has no answer: a connection that closes says so, and that another server may have one.
    sockets_->HangUp();
    for (const auto& lane : lanes_) lane->Stop();
    sockets_.reset();
    return finished;
  }

 private:
  static void LogReload(const absl::Status& status) {
    if (status.ok()) {
      Log(LogLevel::kInfo, "certificates_reloaded", {});
    } else {
      Log(LogLevel::kError, "certificates_kept", {{"reason", std::string(status.message())}});
    }
  }

  SocketServerOptions SocketOptions() const {
    const ServerOptions& options = core_->options;
    SocketServerOptions sockets;
    sockets.address = options.address;
    sockets.handshake_time = options.edge.keepalive_timeout;
    sockets.stalled_time = options.edge.stalled_time;
    sockets.user_timeout = options.edge.keepalive_timeout;
    sockets.proxies = *AddressSet::Parse(options.proxy_protocol_from);  // checked where options are read
    sockets.waits = [](const char* reason) { Log(LogLevel::kWarning, "accept_waits", {{"reason", reason}}); };
    return sockets;
  }

  void AddAllMethods() {
    MethodTable* const methods = &core_->edge->methods;
    const auto text = static_cast<std::size_t>(core_->options.max_message_bytes);
    const auto query = static_cast<std::size_t>(core_->options.max_query_bytes);
    AddMethods(*v1::TranslateRequest::descriptor()->file()->FindServiceByName("TranslationService"), text, methods);
    AddMethods(*v1::SummarizeRequest::descriptor()->file()->FindServiceByName("SummarizationService"), text, methods);
    AddMethods(*v1::GetModelRequest::descriptor()->file()->FindServiceByName("ModelService"), query, methods);
    AddMethods(*grpc::health::v1::HealthCheckRequest::descriptor()->file()->service(0), query, methods);
    AddMethods(*grpc::reflection::v1::ServerReflectionRequest::descriptor()->file()->service(0), query, methods);
    AddMethods(*grpc::reflection::v1alpha::ServerReflectionRequest::descriptor()->file()->service(0), query, methods);
  }

  absl::Status CannotListen(absl::string_view reason) const {
    return absl::UnavailableError(absl::StrCat("cannot listen on --address ", core_->options.address, ": ", reason));
  }

  bool HasTask(v1::Task task) const {
    for (const auto& model : core_->registry->models()) {
      if (model->summary.task() == task) return true;
    }
    return false;
  }

  void SetHealth(bool serving) {
    health_.Set(v1::TranslationService::service_full_name(), serving && HasTask(v1::TASK_TRANSLATE));
    health_.Set(v1::SummarizationService::service_full_name(), serving && HasTask(v1::TASK_SUMMARIZE));
    health_.Set(v1::ModelService::service_full_name(), serving);
    health_.Set("", serving);
  }

  Core* const core_;
  Health health_;
  const Reflection reflection_{{v1::TranslationService::service_full_name(),
                                v1::SummarizationService::service_full_name(), v1::ModelService::service_full_name(),
                                grpc::health::v1::Health::service_full_name(),
                                grpc::reflection::v1::ServerReflection::service_full_name(),
                                grpc::reflection::v1alpha::ServerReflection::service_full_name()}};
  std::unique_ptr<TlsContext> tls_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::unique_ptr<SocketServer> sockets_;  // its connections are the lanes' loops'
  bool drained_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(Core* core) {
  auto server = std::make_unique<EdgeServer>(core);
  if (absl::Status status = server->Listen(); !status.ok()) return status;
  return server;
}

}  // namespace heed
