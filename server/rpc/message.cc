#include "server/rpc/message.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "heed/v1/text.pb.h"
#include "server/errors/errors.h"

namespace heed {

namespace {

// Takes the fields of a message of this type from `left`; false once there are too many. Bytes that are no message are
// the parser's to refuse. `priority`: the value of the last field of that type.
bool CountFields(const google::protobuf::Descriptor& type, google::protobuf::io::CodedInputStream* in, int depth,
                 std::int64_t* left, std::uint32_t* priority) {
  using google::protobuf::internal::WireFormatLite;
  while (const std::uint32_t tag = in->ReadTag()) {
    if (--*left < 0) return false;
    const auto* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    std::uint32_t length = 0;
    if (depth > 0 && field != nullptr && field->message_type() != nullptr &&
        WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED && in->ReadVarint32(&length)) {
      const auto limit = in->PushLimit(static_cast<int>(length));
      if (!CountFields(*field->message_type(), in, depth - 1, left, priority)) return false;
      in->PopLimit(limit);
    } else if (field != nullptr && field->enum_type() == v1::Priority_descriptor() &&
               WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_VARINT) {
      if (!in->ReadVarint32(priority)) break;
    } else if (!WireFormatLite::SkipField(in, tag)) {
      break;
    }
  }
  return true;
}

constexpr int kMaxDepth = 10;  // of a request's messages

}  // namespace

std::int64_t MaxFields(const AdmissionLimits& limits) { return 2 * std::int64_t{limits.max_texts} + 1000; }

absl::Status ParseMessage(const grpc::ByteBuffer& bytes, std::int64_t max_fields, google::protobuf::Message* message) {
  {
    grpc::ByteBuffer shared(bytes);
    grpc::ProtoBufferReader reader(&shared);
    google::protobuf::io::CodedInputStream in(&reader);
    std::int64_t left = max_fields;
    std::uint32_t priority = 0;
    if (reader.status().ok() && !CountFields(*message->GetDescriptor(), &in, kMaxDepth, &left, &priority)) {
      return ErrorWithInfo(absl::StatusCode::kInvalidArgument,
                           absl::StrCat("the request has more than ", max_fields,
                                        " fields, those of messages inside it included; send fewer texts at a time"),
                           "TOO_MANY_FIELDS", {{"bound", absl::StrCat(max_fields)}});
    }
  }
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

Priority PeekPriority(const grpc::ByteBuffer& bytes, std::int64_t max_fields,
                      const google::protobuf::Descriptor& type) {
  grpc::ByteBuffer shared(bytes);
  grpc::ProtoBufferReader reader(&shared);
  google::protobuf::io::CodedInputStream in(&reader);
  std::uint32_t priority = 0;
  if (reader.status().ok()) CountFields(type, &in, kMaxDepth, &max_fields, &priority);
  return priority == v1::PRIORITY_BATCH ? Priority::kBatch : Priority::kInteractive;
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
