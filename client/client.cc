#include "client/client.h"

#include <grpcpp/grpcpp.h>

#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/channel.h"
#include "client/error.h"
#include "client/proxy.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "heed/v1/model.grpc.pb.h"
#include "heed/v1/summarization.grpc.pb.h"
#include "heed/v1/translation.grpc.pb.h"

namespace heed {
namespace {

constexpr char kPushback[] = "grpc-retry-pushback-ms";

// What all attempts of a call share.
struct Calling {
  const RetryOptions& retry;
  const RetryEnvironment& environment;
  const std::string& via;
  absl::Time deadline;
};

// Where nothing came back, the proxy on the way may be why.
absl::Status WithProxy(const absl::Status& status, const std::string& via) {
  if (via.empty() || !(absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status))) return status;
  absl::Status named(status.code(), absl::StrCat(std::string(status.message()), via));
  status.ForEachPayload([&named](absl::string_view url, const absl::Cord& payload) { named.SetPayload(url, payload); });
  return named;
}

// Calls `attempt(context)` until it succeeds or must not be tried again. The shape suits a stream as well: its attempt
// is the part up to the first message.
template <typename Attempt>
absl::Status CallWithRetries(const Calling& calling, const Attempt& attempt) {
  if (calling.deadline == absl::InfiniteFuture()) {
    return absl::InvalidArgumentError("the call has no deadline; every call must have one");
  }
  for (int attempts = 1;; ++attempts) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(calling.deadline));
    absl::Status status = FromGrpcStatus(attempt(&context));
    if (status.ok()) return status;

    Failure failure{status.code(), std::nullopt};
    const auto& trailers = context.GetServerTrailingMetadata();
    if (const auto pushback = trailers.find(kPushback); pushback != trailers.end()) {
      failure.pushback_ms = std::string(pushback->second.begin(), pushback->second.end());
    }
    const std::optional<absl::Duration> wait =
        NextWait(calling.retry, attempts, failure, calling.environment.uniform());
    if (!wait.has_value() || calling.environment.now() + *wait >= calling.deadline) return status;
    calling.environment.sleep(*wait);
  }
}

// A unary RPC of any service.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> CallUnary(const Calling& calling, Stub* stub,
                                   grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
                                   const Request& request) {
  Response response;
  const absl::Status status =
      CallWithRetries(calling, [&](grpc::ClientContext* context) { return (stub->*rpc)(context, request, &response); });
  if (!status.ok()) return WithProxy(status, calling.via);
  return response;
}

// A streaming RPC of any service.
template <typename Stub, typename Request, typename Response>
absl::Status CallStream(const Calling& calling, Stub* stub,
                        std::unique_ptr<grpc::ClientReader<Response>> (Stub::*rpc)(grpc::ClientContext*,
                                                                                   const Request&),
                        const Request& request, const std::function<void(const v1::StreamEvent&)>& on_event) {
  bool began = false;
  absl::Status ended;  // of a stream that began: not to be tried again
  const absl::Status status = CallWithRetries(calling, [&](grpc::ClientContext* context) {
    const auto reader = (stub->*rpc)(context, request);
    Response response;
    while (reader->Read(&response)) {
      began = true;
      on_event(response.event());
    }
    grpc::Status finished = reader->Finish();
    if (!began) return finished;
    ended = FromGrpcStatus(finished);
    return grpc::Status::OK;
  });
  return WithProxy(began ? ended : status, calling.via);
}

absl::Status CheckOptions(const ClientOptions& options) {
  if (options.address.empty()) return absl::InvalidArgumentError("address is empty; it must be HOST:PORT");
  if (options.max_receive_bytes < 1 || options.max_receive_bytes > std::numeric_limits<int>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_receive_bytes is ", options.max_receive_bytes, "; it must be 1 to 2147483647"));
  }
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return absl::InvalidArgumentError("a TLS certificate and its key go together; only one of them is given");
  }
  return absl::OkStatus();
}

}  // namespace

struct Client::Stubs {
  std::unique_ptr<v1::TranslationService::Stub> translation;
  std::unique_ptr<v1::SummarizationService::Stub> summarization;
  std::unique_ptr<v1::ModelService::Stub> models;
  std::unique_ptr<grpc::health::v1::Health::Stub> health;
};

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const ClientOptions& options, bool own_connection) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (options.tls) {
    credentials = grpc::SslCredentials({options.tls_roots, options.tls_key, options.tls_certificate});
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(options.max_receive_bytes));
  // gRPC fails calls at once while it waits to connect again; with its own times (1 s and more) our retries would see
  // nothing but that.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  if (!options.tls_server_name.empty()) arguments.SetSslTargetNameOverride(options.tls_server_name);
  if (!ProxyFor(options.address).has_value()) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (own_connection) arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(options.address, credentials, arguments);
}

absl::StatusOr<std::unique_ptr<Client>> Client::Make(const ClientOptions& options) {
  const auto channel = MakeChannel(options, /*own_connection=*/false);
  if (!channel.ok()) return channel.status();
  auto client = std::make_unique<Client>(*channel, options.retry);
  if (const std::optional<Proxy> proxy = ProxyFor(options.address)) client->via_ = Describe(*proxy);
  return client;
}

Client::Client(std::shared_ptr<grpc::ChannelInterface> channel, const RetryOptions& retry, RetryEnvironment environment)
    : stubs_(new Stubs{v1::TranslationService::NewStub(channel), v1::SummarizationService::NewStub(channel),
                       v1::ModelService::NewStub(channel), grpc::health::v1::Health::NewStub(channel)}),
      retry_(retry),
      environment_(std::move(environment)) {}

Client::~Client() = default;

absl::StatusOr<v1::TranslateResponse> Client::Translate(const v1::TranslateRequest& request, absl::Time deadline) {
  return CallUnary({retry_, environment_, via_, deadline}, stubs_->translation.get(),
                   &v1::TranslationService::Stub::Translate, request);
}

absl::StatusOr<v1::SummarizeResponse> Client::Summarize(const v1::SummarizeRequest& request, absl::Time deadline) {
  return CallUnary({retry_, environment_, via_, deadline}, stubs_->summarization.get(),
                   &v1::SummarizationService::Stub::Summarize, request);
}

absl::Status Client::StreamTranslate(const v1::TranslateRequest& request, absl::Time deadline,
                                     const std::function<void(const v1::StreamEvent&)>& on_event) {
  v1::StreamTranslateRequest stream;
  *stream.mutable_request() = request;
  return CallStream({retry_, environment_, via_, deadline}, stubs_->translation.get(),
                    &v1::TranslationService::Stub::StreamTranslate, stream, on_event);
}

absl::Status Client::StreamSummarize(const v1::SummarizeRequest& request, absl::Time deadline,
                                     const std::function<void(const v1::StreamEvent&)>& on_event) {
  v1::StreamSummarizeRequest stream;
  *stream.mutable_request() = request;
  return CallStream({retry_, environment_, via_, deadline}, stubs_->summarization.get(),
                    &v1::SummarizationService::Stub::StreamSummarize, stream, on_event);
}

absl::StatusOr<v1::ListModelsResponse> Client::ListModels(absl::Time deadline) {
  return CallUnary({retry_, environment_, via_, deadline}, stubs_->models.get(), &v1::ModelService::Stub::ListModels,
                   v1::ListModelsRequest());
}

absl::StatusOr<v1::GetModelResponse> Client::GetModel(const v1::GetModelRequest& request, absl::Time deadline) {
  return CallUnary({retry_, environment_, via_, deadline}, stubs_->models.get(), &v1::ModelService::Stub::GetModel,
                   request);
}

absl::StatusOr<grpc::health::v1::HealthCheckResponse::ServingStatus> Client::CheckHealth(const std::string& service,
                                                                                         absl::Time deadline) {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  const auto response = CallUnary({retry_, environment_, via_, deadline}, stubs_->health.get(),
                                  &grpc::health::v1::Health::Stub::Check, request);
  if (!response.ok()) return response.status();
  return response->status();
}

}  // namespace heed
