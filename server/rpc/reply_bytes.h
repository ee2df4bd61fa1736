// A unary reply's bytes, put together a field at a time: a long one is serialised and compressed in parts, each field
// freed by its owner once it is in here.
//
// Not thread-safe: one thread's at a time.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/edge/gzip.h"

namespace heed {

class ReplyBytes {
 public:
  // Shorter answers are not worth the time that compressing takes.
  static constexpr std::size_t kWorthGzip = 1 << 10;

  // Adds a field: in order of their numbers, they are the bytes that the whole message would be serialised to. INTERNAL
  // when it does not fit a protobuf message (2 GiB).
  absl::Status Add(int number, const google::protobuf::Message& value);
  // All of a short reply at once, in place of its fields. INTERNAL as Add.
  absl::Status AddAll(const google::protobuf::Message& reply);
  // Once all fields are there, and where the client wants it: compresses a part of them; whether more is left.
  bool GzipSome();
  // They have been compressed, which paid.
  bool gzipped() const { return gzipped_; }
  grpc::ByteBuffer Take() { return grpc::ByteBuffer(parts_.data(), parts_.size()); }

 private:
  std::vector<grpc::Slice> parts_;
  std::size_t bytes_ = 0;
  std::unique_ptr<Gzipper> gzipper_;
  std::size_t part_ = 0, offset_ = 0;  // what is compressed next
  bool gzipped_ = false;
};

}  // namespace heed
