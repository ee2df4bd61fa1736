// Where clients come in: the sockets of --address and the thread that accepts.
//
// gRPC 1.51 could listen itself, but it has no bound on connections, and the first accept that fails, as when clients
// hold every file descriptor, is its last. Here it waits until there are descriptors again.
//
// Open, Start, Stop and destruction belong to one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/lifecycle/connections.h"

namespace heed {

class RpcListener {
 public:
  // Listens on every address of `address`, HOST:PORT (IPv6 as [::1]:8500); with port 0 on one free port of them all.
  // Connections wait until Start. The system's reason where it cannot. `connections` outlives it.
  static absl::StatusOr<std::unique_ptr<RpcListener>> Open(const std::string& address, Connections* connections);
  ~RpcListener() { Stop(); }
  RpcListener(const RpcListener&) = delete;
  RpcListener& operator=(const RpcListener&) = delete;

  int port() const { return port_; }

  // Gives `take` each connection, a socket that is its to close, on a thread of the listener's own. Those beyond the
  // bound are closed. A peer that acknowledges nothing for `user_timeout` is gone.
  void Start(absl::Duration user_timeout, std::function<void(int fd)> take);
  // Accepts no more: connections that still come are refused by the system. Idempotent.
  void Stop();

 private:
  explicit RpcListener(Connections* connections) : connections_(connections) {}
  absl::Status Bind(const std::string& host, int port);
  void Run();
  // Accepts all that wait. Not 0: the system has no room for another one now, and why.
  int Accept(int listening);
  void Take(int fd);

  Connections* const connections_;
  int port_ = 0;
  std::vector<int> listening_;
  int stop_ = -1;  // an eventfd: readable when Run is to end
  absl::Duration user_timeout_;
  std::function<void(int fd)> take_;
  std::thread thread_;
};

}  // namespace heed
