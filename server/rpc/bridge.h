// From the edge to gRPC inside the process: a call that came whole becomes a call of gRPC's in-process channel, on the
// queue's own thread, and its answer comes back at once: gRPC, the call's place in the gate and its memory wait for no
// client. docs/decisions/0001-edge.md says why.
//
// Not thread-safe: its queue's thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "server/edge/backend.h"
#include "server/rpc/call_queue.h"

namespace heed {

// Metadata that the edge adds, and no client can: its address, who it is (of its certificate; left out where there is
// none), and that its answer may be compressed.
inline constexpr char kPeerAddressKey[] = "heed-edge-address";
inline constexpr char kPeerIdentityKey[] = "heed-edge-identity-bin";
inline constexpr char kWantsGzipKey[] = "heed-edge-gzip";
// In a call's initial metadata: its messages are gzip streams.
inline constexpr char kIsGzipKey[] = "heed-is-gzip";

// `channel`: of the server whose calls `queue` has. Both outlive it.
std::unique_ptr<Backend> MakeBridge(std::shared_ptr<grpc::Channel> channel, CallQueue* queue);

}  // namespace heed
