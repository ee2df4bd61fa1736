// Messages to and from the raw bytes of a call. gRPC 1.51's own parsing answers UNIMPLEMENTED when a message does not
// parse; here it is INVALID_ARGUMENT, and the call is counted like any other.
//
// Thread-safe: plain functions.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"

namespace heed {

// INVALID_ARGUMENT naming the message's type: bytes that are none, a string that is not UTF-8.
absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);

// INTERNAL when it does not fit a protobuf message (2 GiB).
absl::Status SerializeMessage(const google::protobuf::Message& message, grpc::ByteBuffer* bytes);

}  // namespace heed
