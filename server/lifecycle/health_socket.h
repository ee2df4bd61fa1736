// A Unix socket of the abstract kind that says the server's health to `heed-server --health`, the container's health
// check. The addresses that clients use will not do for that: with TLS or client certificates the check would need
// secrets of its own, it would be one of --max_connections and so fail, and have the server restarted, when clients
// hold them all, and --metrics_address may be empty. This socket is there whatever the flags, needs no file (a
// read-only root has no place for one), and is seen by nobody outside of the network namespace. It tells those inside
// no more than the health RPC does.
//
// Its name is "heed-server/MOUNTS/HOST:PORT": HOST as --address has it, the port listened on, and the number of the
// server's mount namespace, so that a container that shares the host's network finds its own.
//
// Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/lifecycle/readiness.h"

namespace heed {

class HealthSocket {
 public:
  // Answers from now on. `host` is --address without its port; `readiness` outlives it. UNAVAILABLE with the reason.
  static absl::StatusOr<std::unique_ptr<HealthSocket>> Open(absl::string_view host, int port,
                                                            const Readiness* readiness);
  ~HealthSocket();
  HealthSocket(const HealthSocket&) = delete;
  HealthSocket& operator=(const HealthSocket&) = delete;

 private:
  HealthSocket(int listening, int stop, const Readiness* readiness);
  void Run();

  const int listening_;
  const int stop_;  // an eventfd
  const Readiness* const readiness_;
  std::thread thread_;
};

// A server that answers in this network namespace.
struct HealthName {
  std::string mounts;
  std::string address;  // HOST:PORT
};

// Those that listen, from /proc/net/unix, without duplicates.
std::vector<HealthName> HealthNames(absl::string_view proc_net_unix);

// Which of them `--health` asks: the one with this address, the own mounts' first; else, where the address was not
// `given` on its command line, the only one of the own mounts (a container's health check does not see the command line
// of the server). NOT_FOUND, one line.
absl::StatusOr<HealthName> ChooseServer(const std::vector<HealthName>& names, absl::string_view own_mounts,
                                        absl::string_view address, bool given);

// Asks the server of these settings: "SERVING" on standard output and 0, or one line on standard error and 1. Waits 2 s
// at most. The server must be this user's, or this user root: any other program could take the name.
int RunHealthCheck(const std::string& address, bool given);

}  // namespace heed
