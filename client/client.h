// The C++ client of heed: blocking calls with a deadline, tried again where that can help (retry.h), with errors whose
// details can be read (error.h). The messages are those of proto/heed/v1.
//
//   HEED_ASSIGN_OR_RETURN(auto client, heed::Client::Make({.address = "127.0.0.1:8500"}));
//   heed::v1::TranslateRequest request;
//   request.add_texts("파이썬은 쉽다.");
//   auto reply = client->Translate(request, absl::Now() + absl::Seconds(10));
//   if (reply.ok()) std::cout << reply->results(0).output().text();
//
// Thread-safe: calls may be made from many threads at once and share one connection.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/retry.h"
#include "grpc/health/v1/health.pb.h"
#include "heed/v1/model.pb.h"
#include "heed/v1/stream.pb.h"
#include "heed/v1/summarization.pb.h"
#include "heed/v1/translation.pb.h"

namespace grpc {
class ChannelInterface;
}

namespace heed {

struct ClientOptions {
  // host:port, or any target that gRPC resolves ("unix:/run/heed.sock", "dns:///heed.example:8500").
  // The proxy that http_proxy and the like name is used (proxy.h), but never for loopback.
  std::string address = "127.0.0.1:8500";
  // Encrypt. False sends everything in the clear.
  bool tls = false;
  // PEM texts (not file names). Empty roots: the machine's own. Certificate and key go together: who this client is.
  std::string tls_roots;
  std::string tls_certificate;
  std::string tls_key;
  // The name that the server's certificate must carry; empty: the address' host.
  std::string tls_server_name;
  // Largest reply taken, in bytes; raise it together with a request's max_reply_bytes.
  std::int64_t max_receive_bytes = 4 << 20;
  RetryOptions retry;
};

class Client {
 public:
  // Does not wait for a connection: that is made by the first call. INVALID_ARGUMENT for options that make no sense.
  static absl::StatusOr<std::unique_ptr<Client>> Make(const ClientOptions& options);

  // On a channel of the caller's own; `environment` is for tests.
  Client(std::shared_ptr<grpc::ChannelInterface> channel, const RetryOptions& retry,
         RetryEnvironment environment = RetryEnvironment::Real());
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Each call blocks until it has its reply, failed for good, or `deadline`; waits between attempts count. A deadline
  // is required: InfiniteFuture is INVALID_ARGUMENT. Errors are the server's (see the protos), UNAVAILABLE when it
  // cannot be reached, DEADLINE_EXCEEDED when time ran out in a call; both name the proxy, where one is on the way. A
  // wait that would pass the deadline is not begun: the last failure is the answer.
  absl::StatusOr<v1::TranslateResponse> Translate(const v1::TranslateRequest& request, absl::Time deadline);
  absl::StatusOr<v1::SummarizeResponse> Summarize(const v1::SummarizeRequest& request, absl::Time deadline);
  // Streams: `on_event` is called for each event, in order, on this thread. Tried again only before the first event.
  absl::Status StreamTranslate(const v1::TranslateRequest& request, absl::Time deadline,
                               const std::function<void(const v1::StreamEvent&)>& on_event);
  absl::Status StreamSummarize(const v1::SummarizeRequest& request, absl::Time deadline,
                               const std::function<void(const v1::StreamEvent&)>& on_event);
  absl::StatusOr<v1::ListModelsResponse> ListModels(absl::Time deadline);
  absl::StatusOr<v1::GetModelResponse> GetModel(const v1::GetModelRequest& request, absl::Time deadline);

  // Standard health check of a service ("heed.v1.TranslationService"), or of the whole server (""). NOT_FOUND for a
  // service that the server does not know.
  absl::StatusOr<grpc::health::v1::HealthCheckResponse::ServingStatus> CheckHealth(const std::string& service,
                                                                                   absl::Time deadline);

 private:
  struct Stubs;

  // Constant.
  const std::unique_ptr<const Stubs> stubs_;
  const RetryOptions retry_;
  const RetryEnvironment environment_;
  std::string via_;  // what errors say of the proxy on the way; empty: none is. Set by Make alone
};

}  // namespace heed
