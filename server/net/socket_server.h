// An address that is listened on, and the connections that come in there: accepted within bounds by a thread of its
// own, handed out to loops in turn, spoken to by a protocol each.
//
//   HOST:PORT --Listener (thread)--> bounds --Submit--> loop: Connection, Protocol
//
// Open, Start, StopAccepting, HangUp and destruction belong to one thread, the loops running or not. Destroyed after
// the loops have stopped.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/net/connection.h"
#include "server/net/connection_counts.h"
#include "server/net/event_loop.h"
#include "server/net/listener.h"
#include "server/net/proxy_header.h"
#include "server/net/tls.h"

namespace heed {

struct SocketServerOptions {
  std::string address;                      // HOST:PORT
  std::string thread_name = "heed-accept";  // 15 characters at most
  bool close_silent = false;                // over the bound the longest silent one goes, not the one that comes
  absl::Duration handshake_time = absl::Seconds(20);
  absl::Duration stalled_time = absl::Seconds(20);
  absl::Duration user_timeout;                    // TCP's: for the peer to acknowledge what was sent; 0: the system's
  AddressSet proxies;                             // connections from there begin with a PROXY header
  std::function<void(const char* reason)> waits;  // no connection can be accepted now
};

class SocketServer {
 public:
  // Listens; connections wait until Start. UNAVAILABLE with the system's reason where it cannot. `tls` (null: plain
  // text) and `counts` outlive it.
  static absl::StatusOr<std::unique_ptr<SocketServer>> Open(SocketServerOptions options, TlsContext* tls,
                                                            ConnectionCounts* counts);
  ~SocketServer();
  SocketServer(const SocketServer&) = delete;
  SocketServer& operator=(const SocketServer&) = delete;

  using MakeProtocol = std::function<std::unique_ptr<Protocol>(Wire* wire)>;
  struct Lane {
    EventLoop* loop = nullptr;
    MakeProtocol make;  // on the loop's thread
  };
  // Accepts. The lanes' loops outlive the last call to them: stop them before this is destroyed.
  absl::Status Start(std::vector<Lane> lanes);
  // Connections that still come are refused by the system. Idempotent.
  void StopAccepting();
  // Closes every connection once what its protocol has for it is sent, as far as the peer takes it now. Their loops do
  // so soon after. After StopAccepting.
  void HangUp();

  int port() const { return listener_->port(); }

 private:
  class Shard;  // a lane's connections
  SocketServer(SocketServerOptions options, TlsContext* tls, ConnectionCounts* counts);
  void Take(int fd, Peer peer);

  const SocketServerOptions options_;
  TlsContext* const tls_;
  ConnectionCounts* const counts_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::size_t next_ = 0;  // of the accepting thread
};

}  // namespace heed
