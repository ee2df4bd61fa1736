#include "server/edge/frame_meter.h"

#include <algorithm>
#include <cstring>

namespace heed {
namespace {

constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum Type : unsigned char { kData = 0, kHeaders = 1, kPing = 6, kWindowUpdate = 8, kContinuation = 9 };
constexpr double kEarned = 2;       // by a frame that was sent
constexpr double kMostEarned = 32;  // seconds' worth
constexpr unsigned char kEndStream = 1;
constexpr unsigned char kEndHeaders = 4;

}  // namespace

FrameMeter::FrameMeter(std::size_t max_block_bytes, int max_control_frames)
    : max_block_bytes_(max_block_bytes), per_second_(max_control_frames), tokens_(2 * per_second_) {}

absl::string_view FrameMeter::Follow(absl::string_view bytes, absl::Time now) {
  const std::size_t preface = std::min(kPreface.size() - preface_, bytes.size());
  if (bytes.substr(0, preface) != kPreface.substr(preface_, preface)) return "not_http2";
  preface_ += preface;
  bytes.remove_prefix(preface);
  while (!bytes.empty()) {
    if (skip_ > 0) {
      const std::size_t skipped = std::min(skip_, bytes.size());
      skip_ -= skipped;
      bytes.remove_prefix(skipped);
      continue;
    }
    const std::size_t taken = std::min(header_.size() - have_, bytes.size());
    std::memcpy(header_.data() + have_, bytes.data(), taken);
    have_ += taken;
    bytes.remove_prefix(taken);
    if (have_ < header_.size()) break;
    have_ = 0;
    if (const absl::string_view fault = OnFrame(now); !fault.empty()) return fault;
  }
  return "";
}

absl::string_view FrameMeter::OnFrame(absl::Time now) {
  const std::size_t length = std::size_t{header_[0]} << 16 | std::size_t{header_[1]} << 8 | header_[2];
  const unsigned char type = header_[3];
  const unsigned char flags = header_[4];
  skip_ = length;
  switch (type) {
    case kHeaders:
    case kContinuation:
      block_bytes_ = (type == kHeaders ? 0 : block_bytes_) + length;
      if (block_bytes_ > max_block_bytes_) return "header_block_bytes";
      if (type == kHeaders) block_since_ = now;
      if ((flags & kEndHeaders) != 0) block_since_ = absl::InfiniteFuture();
      // One that brings nothing is as cheap as any other.
      return length > 0 || Spend(1, now) ? "" : "control_frames";
    case kData:
      return length > 0 || (flags & kEndStream) != 0 || Spend(1, now) ? "" : "control_frames";
    case kPing:
      return SpendEarned() || Spend(1, now) ? "" : "control_frames";
    case kWindowUpdate:
      return SpendEarned() || Spend(0.1, now) ? "" : "control_frames";
    default:
      return Spend(1, now) ? "" : "control_frames";
  }
}

void FrameMeter::Earn() { earned_ = std::min(earned_ + kEarned, kMostEarned * per_second_); }

bool FrameMeter::SpendEarned() {
  if (earned_ < 1) return false;
  earned_ -= 1;
  return true;
}

bool FrameMeter::Spend(double frames, absl::Time now) {
  if (now > filled_) {
    const double earned = filled_ == absl::InfinitePast() ? 0 : absl::ToDoubleSeconds(now - filled_) * per_second_;
    tokens_ = std::min(tokens_ + earned, 2 * per_second_);
    filled_ = now;
  }
  tokens_ -= frames;
  return tokens_ >= 0;
}

}  // namespace heed
