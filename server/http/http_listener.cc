#include "server/http/http_listener.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/status_macros.h"
#include "server/http/http_protocol.h"
#include "server/lifecycle/log.h"

namespace heed {
namespace {

HttpLimits LimitsOf(const HttpOptions& options) {
  return {.max_header_bytes = static_cast<std::size_t>(options.max_header_bytes),
          .max_body_bytes = static_cast<std::size_t>(options.max_body_bytes),
          .request_time = options.request_time,
          .idle_time = options.idle_time};
}

void LogReload(const absl::Status& status) {
  if (status.ok()) {
    Log(LogLevel::kInfo, "http_tls_reloaded", {});
  } else {
    Log(LogLevel::kError, "http_tls_not_reloaded", {{"reason", std::string(status.message())}});
  }
}

}  // namespace

HttpListener::HttpListener(HttpRoutes routes, const HttpOptions& options)
    : routes_(std::move(routes)), limits_(LimitsOf(options)), counts_(options.max_connections, /*per_address=*/0) {}

HttpListener::~HttpListener() {
  if (server_ != nullptr) server_->StopAccepting();
  if (loop_ != nullptr) loop_->Stop();
}

absl::StatusOr<std::unique_ptr<HttpListener>> HttpListener::Start(const ServerOptions& options, HttpRoutes routes) {
  std::unique_ptr<HttpListener> listener(new HttpListener(std::move(routes), options.http));
  HEED_RETURN_IF_ERROR(listener->Run(options));
  return listener;
}

absl::Status HttpListener::Run(const ServerOptions& options) {
  if (options.http.tls) {
    // Probes have no certificates, so none are asked for here.
    HEED_ASSIGN_OR_RETURN(tls_, TlsContext::Read({.cert = options.tls.cert, .key = options.tls.key, .client_ca = ""},
                                                 "http/1.1", LogReload));
  }
  HEED_ASSIGN_OR_RETURN(loop_, EventLoop::Make({.name = "heed-http"}));
  SocketServerOptions sockets;
  sockets.address = options.metrics_address;
  sockets.thread_name = "heed-http-in";
  sockets.close_silent = true;
  sockets.handshake_time = options.http.request_time;
  sockets.stalled_time = options.http.request_time;
  sockets.user_timeout = options.http.request_time;
  sockets.waits = [](const char* reason) { Log(LogLevel::kWarning, "http_accept_waits", {{"reason", reason}}); };
  absl::StatusOr<std::unique_ptr<SocketServer>> server = SocketServer::Open(std::move(sockets), tls_.get(), &counts_);
  if (!server.ok()) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on --metrics_address ", options.metrics_address, ": ", server.status().message()));
  }
  server_ = *std::move(server);
  HEED_RETURN_IF_ERROR(loop_->Start());
  return server_->Start({{.loop = loop_.get(), .make = [this](Wire* wire) {
                            return std::make_unique<HttpProtocol>(&routes_, &limits_, Clock::Real(), wire);
                          }}});
}

}  // namespace heed
