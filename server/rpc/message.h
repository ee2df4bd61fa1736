// Messages to and from the raw bytes of a call. gRPC 1.51's own parsing answers INTERNAL or UNIMPLEMENTED when a
// message does not parse, before we hear of it; here it is INVALID_ARGUMENT, and the call is counted like any other.
//
// Thread-safe: plain functions.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>

#include "absl/status/status.h"
#include "server/admission/admission.h"

namespace heed {

// INVALID_ARGUMENT: bytes that are none of the message's type, a string that is not UTF-8; more than `max_fields`
// fields, elements of lists and fields of messages inside it counted one by one, which is seen before any is parsed: an
// empty string takes 2 bytes on its way and dozens as an object.
absl::Status ParseMessage(const grpc::ByteBuffer& bytes, std::int64_t max_fields, google::protobuf::Message* message);

// Of questions about the server itself.
inline constexpr std::int64_t kFewFields = 16;
// Of a request within these limits; those of texts and a margin.
std::int64_t MaxFields(const AdmissionLimits& limits);

// What a message that is not parsed yet says of its priority, in it or in a message inside it; interactive where it
// says nothing, or not within `max_fields` fields. Takes time in proportion to those.
Priority PeekPriority(const grpc::ByteBuffer& bytes, std::int64_t max_fields, const google::protobuf::Descriptor& type);

// INTERNAL when it does not fit a protobuf message (2 GiB).
absl::Status SerializeMessage(const google::protobuf::Message& message, grpc::ByteBuffer* bytes);

}  // namespace heed
