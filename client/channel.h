// A gRPC channel to a server, made as a Client makes its own.
//
// Thread-safe: a plain function.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "client/client.h"

namespace grpc {
class Channel;
}

namespace heed {

// Does not wait for a connection. `own_connection`: it is not shared with other channels of this process.
// INVALID_ARGUMENT for options that make no sense.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const ClientOptions& options, bool own_connection);

}  // namespace heed
