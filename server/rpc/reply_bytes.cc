#include "server/rpc/reply_bytes.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "server/rpc/message.h"

namespace heed {
namespace {

constexpr std::size_t kGzipPart = 128 << 10;  // a millisecond or two

}  // namespace

absl::Status ReplyBytes::Add(int number, const google::protobuf::Message& value) {
  using google::protobuf::internal::WireFormatLite;
  using google::protobuf::io::CodedOutputStream;
  const std::size_t size = value.ByteSizeLong();
  if (bytes_ + size > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return absl::InternalError(absl::StrCat("the reply has ", bytes_ + size, " bytes, more than a message can"));
  }
  const std::uint32_t length = static_cast<std::uint32_t>(size);
  const std::uint32_t tag = WireFormatLite::MakeTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  grpc::Slice slice(CodedOutputStream::VarintSize32(tag) + CodedOutputStream::VarintSize32(length) + size);
  // A fresh slice is ours alone, so writing through it is safe.
  std::uint8_t* out = const_cast<std::uint8_t*>(slice.begin());
  out = CodedOutputStream::WriteTagToArray(tag, out);
  out = CodedOutputStream::WriteVarint32ToArray(length, out);
  value.SerializeWithCachedSizesToArray(out);
  bytes_ += slice.size();
  parts_.push_back(std::move(slice));
  return absl::OkStatus();
}

absl::Status ReplyBytes::AddAll(const google::protobuf::Message& reply) {
  grpc::ByteBuffer whole;
  HEED_RETURN_IF_ERROR(SerializeMessage(reply, &whole));
  grpc::Slice slice;
  if (!whole.TrySingleSlice(&slice).ok()) return absl::InternalError("the reply is in pieces");
  bytes_ += slice.size();
  parts_.push_back(std::move(slice));
  return absl::OkStatus();
}

bool ReplyBytes::GzipSome() {
  if (bytes_ < kWorthGzip || gzipped_) return false;
  if (gzipper_ == nullptr) gzipper_ = std::make_unique<Gzipper>();
  if (part_ < parts_.size()) {
    const grpc::Slice& part = parts_[part_];
    const std::size_t size = std::min(kGzipPart, part.size() - offset_);
    const absl::string_view bytes(reinterpret_cast<const char*>(part.begin()) + offset_, size);
    if (!gzipper_->Add(bytes)) return false;
    offset_ += size;
    if (offset_ == part.size()) {
      ++part_;
      offset_ = 0;
    }
    return true;
  }
  const std::string smaller = gzipper_->Finish();
  gzipper_.reset();
  gzipped_ = !smaller.empty() && smaller.size() < bytes_;
  if (gzipped_) parts_ = {grpc::Slice(smaller)};
  bytes_ = 0;
  return false;
}

}  // namespace heed
