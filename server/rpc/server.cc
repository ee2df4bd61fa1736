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
#include "server/edge/session.h"
#include "server/lifecycle/log.h"
#include "server/net/socket_server.h"
#include "server/net/tls.h"
#include "server/rpc/bridge.h"
#include "server/rpc/health.h"
#include "server/rpc/message.h"
#include "server/rpc/methods.h"
#include "server/rpc/reflection.h"
#include "server/scheduler/cores.h"
#include "server/serving/pipeline.h"

namespace heed {
namespace {

// After a drain only health watchers and reflection streams are left; they get this long to close by themselves.
constexpr auto kCloseTime = std::chrono::milliseconds(200);

// One thread takes in some 5,000 requests a second, about what so many cores decode of the shortest.
constexpr int kCoresPerPollingThread = 8;

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
  Lane(Core* core, const Pipeline* pipeline, Health* health, const Reflection* reflection)
      : core_(core), pipeline_(pipeline), health_(health), reflection_(reflection) {}

  absl::Status Build() {
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(-1);
    builder.SetMaxSendMessageSize(-1);
    builder.AddChannelArgument(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
    builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);  // nobody could ask it
    HEED_ASSIGN_OR_RETURN(
        queue_, CallQueue::Make(builder.AddCompletionQueue(), [pipeline = pipeline_] { return pipeline->crowded(); }));
    health_service_.emplace(health_, queue_.get());
    reflection_service_.emplace(reflection_, queue_.get());
    for (grpc::Service* service : methods_->services()) builder.RegisterService(service);
    builder.RegisterService(health_service_->service());
    for (grpc::Service* service : reflection_service_->services()) builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return absl::UnavailableError("gRPC does not start");
    bridge_ = MakeBridge(server_->InProcessChannel(InsideArguments()), queue_.get());
    methods_->AwaitCalls(
        {.queue = queue_.get(), .pipeline = pipeline_, .max_fields = MaxFields(core_->options.admission)});
    health_service_->AwaitCalls();
    reflection_service_->AwaitCalls();
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
  Core* const core_;
  const Pipeline* const pipeline_;
  Health* const health_;
  const Reflection* const reflection_;
  const std::unique_ptr<Methods> methods_ = Methods::Make();
  std::unique_ptr<CallQueue> queue_;  // gRPC's server needs it for as long as it is there
  std::optional<HealthService> health_service_;
  std::optional<ReflectionService> reflection_service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Backend> bridge_;
};

class EdgeServer : public RpcServer {
 public:
  explicit EdgeServer(Core* core) : core_(core), pipeline_(core) {}
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
      lanes_.push_back(std::make_unique<Lane>(core_, &pipeline_, &health_, &reflection_));
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
    for (const ServiceRow& row : ServiceRows()) {
      AddMethods(*row.service, row.task == v1::TASK_UNSPECIFIED ? query : text, methods);
    }
    AddMethods(*grpc::health::v1::HealthCheckRequest::descriptor()->file()->service(0), query, methods);
    AddMethods(*grpc::reflection::v1::ServerReflectionRequest::descriptor()->file()->service(0), query, methods);
    AddMethods(*grpc::reflection::v1alpha::ServerReflectionRequest::descriptor()->file()->service(0), query, methods);
  }

  absl::Status CannotListen(absl::string_view reason) const {
    return absl::UnavailableError(absl::StrCat("cannot listen on --address ", core_->options.address, ": ", reason));
  }

  void SetHealth(bool serving) {
    for (const ServiceRow& row : ServiceRows()) {
      const bool served = row.task == v1::TASK_UNSPECIFIED || pipeline_.Serves(row.task);
      health_.Set(row.service->full_name(), serving && served);
    }
    health_.Set("", serving);
  }

  static std::vector<std::string> ServiceNames() {
    std::vector<std::string> names;
    for (const ServiceRow& row : ServiceRows()) names.push_back(row.service->full_name());
    for (const char* name :
         {grpc::health::v1::Health::service_full_name(), grpc::reflection::v1::ServerReflection::service_full_name(),
          grpc::reflection::v1alpha::ServerReflection::service_full_name()}) {
      names.emplace_back(name);
    }
    return names;
  }

  Core* const core_;
  const Pipeline pipeline_;
  Health health_;
  const Reflection reflection_{ServiceNames()};
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
