// Where the server is between its start and its end, for whoever tells others: health, an HTTP page, the container's
// health check. serve.cc sets it.
//
// Thread-safe.
#pragma once

#include <atomic>

namespace heed {

enum class ServerState {
  kStarting,  // models are being loaded, nothing is served
  kServing,
  kDraining,  // asked to end: new calls should go elsewhere, though for --shutdown_delay they are still served
};

class Readiness {
 public:
  ServerState state() const { return state_.load(std::memory_order_acquire); }
  void Set(ServerState state) { state_.store(state, std::memory_order_release); }

 private:
  std::atomic<ServerState> state_{ServerState::kStarting};
};

}  // namespace heed
