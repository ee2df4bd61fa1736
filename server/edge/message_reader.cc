#include "server/edge/message_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace heed {
namespace {

constexpr std::size_t kLarge = 64 << 10;     // bytes; one that waits for room would hold others up if it were small
constexpr std::size_t kFirstRoom = 1 << 10;  // bytes of what inflates; then it doubles

absl::Status TooLarge(absl::string_view what, std::size_t most) {
  return absl::ResourceExhaustedError(absl::StrCat("the message ", what, "; at most ", most, " are taken"));
}

absl::Status NoRoom() {
  return absl::ResourceExhaustedError(
      "the requests under way take as much memory as they may while they are received; try again later");
}

}  // namespace

HeldBytes::~HeldBytes() {
  all_->Give(static_cast<std::int64_t>(capacity_));
  own_->Give(set_aside_ > 0 ? set_aside_ : static_cast<std::int64_t>(capacity_));
}

bool HeldBytes::SetAside(std::size_t bytes) {
  const std::int64_t most = own_->limit() / 4 * 3;
  const std::int64_t wanted = std::min(static_cast<std::int64_t>(bytes), most);
  if (!own_->TakeWithin(wanted, most)) return false;
  set_aside_ = wanted;
  return true;
}

bool HeldBytes::Reserve(std::size_t more, std::size_t most) {
  if (size_ + more <= capacity_) return true;
  const std::size_t capacity = std::max(size_ + more, std::min(2 * capacity_, most));
  // While it moves, both are held.
  const auto bytes = static_cast<std::int64_t>(capacity);
  if (!all_->Take(bytes)) return false;
  if (set_aside_ == 0 && !own_->Take(bytes)) {
    all_->Give(bytes);
    return false;
  }
  std::unique_ptr<char[]> moved(new char[capacity]);
  if (size_ > 0) std::memcpy(moved.get(), bytes_.get(), size_);
  bytes_ = std::move(moved);
  all_->Give(static_cast<std::int64_t>(capacity_));
  if (set_aside_ == 0) own_->Give(static_cast<std::int64_t>(capacity_));
  capacity_ = capacity;
  return true;
}

MessageReader::~MessageReader() {
  if (inflater_ == nullptr) return;
  options_.all->Give(Inflater::kOwnBytes);
  options_.own->Give(Inflater::kOwnBytes);
}

absl::Status MessageReader::Begin() {
  left_ = std::size_t{head_[1]} << 24 | std::size_t{head_[2]} << 16 | std::size_t{head_[3]} << 8 | head_[4];
  if (head_[0] > 1)
    return absl::InvalidArgumentError("the call's data is no gRPC message: its first byte is not 0 or 1");
  if (left_ > options_.max_message_bytes) {
    return TooLarge(absl::StrCat("has ", left_, " bytes"), options_.max_message_bytes);
  }
  inflates_ = head_[0] == 1;
  message_ = std::make_unique<HeldBytes>(options_.all, options_.own);
  waits_ = !inflates_ && left_ > kLarge && !message_->SetAside(left_);
  if (!inflates_) return absl::OkStatus();
  if (!options_.compressed) {
    return absl::InvalidArgumentError("the message is compressed and grpc-encoding does not say how");
  }
  if (inflater_ == nullptr) {
    if (!options_.all->Take(Inflater::kOwnBytes)) return NoRoom();
    if (!options_.own->Take(Inflater::kOwnBytes)) {
      options_.all->Give(Inflater::kOwnBytes);
      return NoRoom();
    }
    inflater_ = std::make_unique<Inflater>();
  }
  return inflater_->Begin();
}

absl::Status MessageReader::Read(absl::string_view* data, std::size_t* budget) {
  while (!whole_) {
    if (message_ == nullptr) {
      const std::size_t taken = std::min(sizeof head_ - head_size_, data->size());
      std::memcpy(head_ + head_size_, data->data(), taken);
      head_size_ += taken;
      data->remove_prefix(taken);
      if (head_size_ < sizeof head_) return absl::OkStatus();
      HEED_RETURN_IF_ERROR(Begin());
    }
    waits_ = waits_ && !message_->SetAside(left_);
    if (waits_) return absl::OkStatus();
    const absl::string_view piece = data->substr(0, left_);
    std::size_t used = piece.size();
    if (inflates_) {
      HEED_RETURN_IF_ERROR(Inflate(piece, budget, &used));
    } else {
      if (!message_->Reserve(piece.size(), message_->size() + left_)) return NoRoom();
      if (!piece.empty()) std::memcpy(message_->data() + message_->size(), piece.data(), piece.size());
      message_->Grow(piece.size());
    }
    data->remove_prefix(used);
    left_ -= used;
    if (left_ > 0) {
      if (data->empty() || *budget == 0) return absl::OkStatus();
      continue;
    }
    if (inflates_ && !inflater_->at_end()) return absl::InvalidArgumentError("the compressed message ends too early");
    whole_ = true;
  }
  return absl::OkStatus();
}

absl::Status MessageReader::Inflate(absl::string_view piece, std::size_t* budget, std::size_t* used) {
  const std::size_t all = piece.size();
  const std::size_t most = options_.max_message_bytes;
  while (!piece.empty() && *budget > 0) {
    if (inflater_->at_end()) return absl::InvalidArgumentError("the compressed message goes on after its end");
    if (message_->size() == message_->capacity() && message_->size() < most &&
        !message_->Reserve(std::min(most - message_->size(), kFirstRoom), most)) {
      return NoRoom();
    }
    // At the bound, one byte more says that there is more.
    char over = 0;
    const bool full = message_->size() == message_->capacity();
    const std::size_t room = full ? 1 : std::min(message_->capacity() - message_->size(), *budget);
    const std::size_t left = piece.size();
    std::size_t made = 0;
    HEED_RETURN_IF_ERROR(inflater_->Run(&piece, full ? &over : message_->data() + message_->size(), room, &made));
    if (full && made > 0) return TooLarge(absl::StrCat("inflates to more than ", most, " bytes"), most);
    message_->Grow(full ? 0 : made);
    *budget -= made;
    if (made == 0 && piece.size() == left && !inflater_->at_end()) {
      return absl::InvalidArgumentError("the compressed message does not inflate");
    }
  }
  *used = all - piece.size();
  return absl::OkStatus();
}

std::unique_ptr<HeldBytes> MessageReader::Take() {
  whole_ = false;
  head_size_ = 0;
  return std::move(message_);
}

}  // namespace heed
