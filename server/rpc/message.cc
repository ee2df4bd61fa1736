#include "server/rpc/message.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/admission/errors.h"

namespace heed {

absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  // The reader takes a mutable buffer but only reads it; a copy shares the bytes.
  grpc::ByteBuffer shared(bytes);
  grpc::ProtoBufferReader reader(&shared);
  if (reader.status().ok() && message->ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  const std::string type = message->GetDescriptor()->full_name();
  return ErrorWithInfo(absl::StatusCode::kInvalidArgument,
                       absl::StrCat("the request does not parse as ", type,
                                    ": its bytes are no such message, or a string in it is not valid UTF-8"),
                       "MALFORMED_MESSAGE", {{"type", type}});
}

absl::Status SerializeMessage(const google::protobuf::Message& message, grpc::ByteBuffer* bytes) {
  const std::size_t size = message.ByteSizeLong();
  if (size > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return absl::InternalError(absl::StrCat("the reply has ", size, " bytes, more than a message can"));
  }
  grpc::Slice slice(size);
  // A fresh slice is ours alone, so writing through it is safe.
  message.SerializeWithCachedSizesToArray(const_cast<std::uint8_t*>(slice.begin()));
  grpc::ByteBuffer made(&slice, 1);
  bytes->Swap(&made);
  return absl::OkStatus();
}

}  // namespace heed
