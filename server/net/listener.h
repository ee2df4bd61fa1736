// Where clients come in: sockets that listen, and the thread that accepts. It waits where the system has no room for
// another connection (no descriptors, no memory) and goes on when there is.
//
// Open, Start, Stop and destruction belong to one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "server/net/protocol.h"

namespace heed {

class Listener {
 public:
  // Listens on every address of `address`, HOST:PORT (IPv6 as [::1]:8500; [::] takes IPv4 too); with port 0 on one free
  // port of them all. Connections wait until Start. The system's reason where it cannot.
  static absl::StatusOr<std::unique_ptr<Listener>> Open(const std::string& address);
  ~Listener() { Stop(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int port() const { return port_; }

  // Gives `take` each connection, a socket that is its to close, on a thread of the listener's own, which is called
  // `name`. `waits` hears, once each time, why none can be accepted now. RESOURCE_EXHAUSTED: the system gives no
  // thread.
  absl::Status Start(const std::string& name, std::function<void(int fd, Peer peer)> take,
                     std::function<void(const char* reason)> waits);
  // Accepts no more: connections that still come are refused by the system. Idempotent.
  void Stop();

 private:
  Listener() = default;
  absl::Status Bind(const std::string& host, int port);
  void Run(const std::string& name);
  // Accepts all that wait. Not 0: the system has no room for another one now, and why.
  int Accept(int listening);

  int port_ = 0;
  std::vector<int> listening_;
  int stop_ = -1;  // an eventfd: readable when Run is to end
  std::function<void(int fd, Peer peer)> take_;
  std::function<void(const char* reason)> waits_;
  std::thread thread_;
};

}  // namespace heed
