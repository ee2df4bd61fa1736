// The one place where an absl::Status becomes a gRPC one: its google.rpc payloads go into `grpc-status-details-bin`,
// its retry delay into `grpc-retry-pushback-ms`.
//
// Thread-safe: plain functions.
#pragma once

#include <grpcpp/impl/codegen/server_context.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace heed {

grpc::Status ToGrpcStatus(const absl::Status& status);

// Adds the trailers that the status asks for. Before Finish.
void AddTrailers(const absl::Status& status, grpc::ServerContextBase* context);

}  // namespace heed
