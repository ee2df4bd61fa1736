// Where monitoring comes in: --metrics_address with the pages of pages.h, on a thread of its own, so that neither a
// busy server delays a scrape nor a scrape a request. Silent and slow clients delay nobody: each connection has its
// bounds and times (http_protocol.h), and where there are as many as may be the longest silent one makes room.
//
// Start and destruction belong to one thread.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/config/options.h"
#include "server/http/http.h"
#include "server/net/connection_counts.h"
#include "server/net/event_loop.h"
#include "server/net/socket_server.h"
#include "server/net/tls.h"

namespace heed {

class HttpListener {
 public:
  // Listens as options.metrics_address, options.http and, for TLS, options.tls say. UNAVAILABLE: it cannot listen
  // there; INVALID_ARGUMENT: TLS files that are none; RESOURCE_EXHAUSTED: the system gives no threads.
  static absl::StatusOr<std::unique_ptr<HttpListener>> Start(const ServerOptions& options, HttpRoutes routes);
  ~HttpListener();
  HttpListener(const HttpListener&) = delete;
  HttpListener& operator=(const HttpListener&) = delete;

  int port() const { return server_->port(); }
  ConnectionStats stats() const { return counts_.stats(); }

 private:
  HttpListener(HttpRoutes routes, const HttpOptions& options);
  absl::Status Run(const ServerOptions& options);

  const HttpRoutes routes_;
  const HttpLimits limits_;
  ConnectionCounts counts_;
  std::unique_ptr<TlsContext> tls_;  // null: plain text
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<SocketServer> server_;
};

}  // namespace heed
