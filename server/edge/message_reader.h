// gRPC's framing of messages (a flag, four bytes of length, the bytes): one call's data, in pieces of any size, becomes
// whole messages, inflated where they are compressed. What it holds is taken from an account, and no more than the
// message bound is ever held for a message.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/edge/gzip.h"
#include "server/net/byte_account.h"

namespace heed {

// Bytes that were taken from accounts, given back when it is destroyed, on whatever thread. Move-only.
class HeldBytes {
 public:
  // `all` and `own`, which outlive it, are taken from together.
  HeldBytes(ByteAccount* all, std::shared_ptr<ByteAccount> own) : all_(all), own_(std::move(own)) {}
  ~HeldBytes();
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;

  // Sets `bytes` of the own account aside for all that is to come, which then takes nothing more of it. False: fewer
  // than those are left of its first three quarters; smaller messages have the rest.
  bool SetAside(std::size_t bytes);
  bool is_set_aside() const { return set_aside_ > 0; }
  // Makes room for `more` bytes, and for some beyond them, but for no more than `most` in all. False: an account has
  // not so many.
  bool Reserve(std::size_t more, std::size_t most);
  char* data() { return bytes_.get(); }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  // Within the room, as written there.
  void Grow(std::size_t bytes) { size_ += bytes; }

 private:
  ByteAccount* const all_;
  const std::shared_ptr<ByteAccount> own_;
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;    // what was taken
  std::int64_t set_aside_ = 0;  // of own_; 0: as much as of all_
};

class MessageReader {
 public:
  struct Options {
    std::size_t max_message_bytes = 0;
    bool compressed = false;  // the call's encoding is gzip or deflate: messages may be
    ByteAccount* all = nullptr;
    std::shared_ptr<ByteAccount> own;  // the connection's
  };
  explicit MessageReader(Options options) : options_(std::move(options)) {}
  ~MessageReader();
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  // Takes bytes off the front of *data until a message is whole, they are used up, or `*budget` bytes have been made of
  // them, which it lowers. RESOURCE_EXHAUSTED: a message over the bound, or no room in an account; INVALID_ARGUMENT:
  // no such framing.
  absl::Status Read(absl::string_view* data, std::size_t* budget);

  bool whole() const { return whole_; }
  // A large message has begun for which the connection's account has no room now: Read takes no more of it until there
  // is. What would be room for a part of several such could end none of them.
  bool waits() const { return waits_; }
  // A large message has begun, and there is room for it.
  bool large() const { return message_ != nullptr && message_->is_set_aside(); }
  // The message, once whole; then the next one is read.
  std::unique_ptr<HeldBytes> Take();
  // In the middle of a message.
  bool inside() const { return !whole_ && (head_size_ > 0 || message_ != nullptr); }

 private:
  absl::Status Begin();
  absl::Status Inflate(absl::string_view piece, std::size_t* budget, std::size_t* used);

  const Options options_;
  unsigned char head_[5] = {};
  std::size_t head_size_ = 0;
  std::size_t left_ = 0;  // bytes of the message that are to come, as sent
  std::unique_ptr<HeldBytes> message_;
  std::unique_ptr<Inflater> inflater_;
  bool inflates_ = false;  // this message
  bool whole_ = false;
  bool waits_ = false;
};

}  // namespace heed
