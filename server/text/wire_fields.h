// The fields of a serialised protobuf message, one after the other where they stand: no tree is built, so that a file
// of millions of tiny fields takes no more memory than its bytes.
//
// Not thread-safe: one reader, one pass. The message outlives it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace heed {

struct WireField {
  enum class Kind { kVarint, kFixed32, kFixed64, kBytes };

  int number = 0;
  Kind kind = Kind::kVarint;
  std::uint64_t value = 0;  // of a number
  std::string_view bytes;   // of kBytes: a string or a message
};

class WireFields {
 public:
  explicit WireFields(std::string_view message) : rest_(message) {}

  // The next field; groups (which SentencePiece never had) are passed over. False at the end, and where the message is
  // damaged.
  bool Next(WireField* field);
  bool damaged() const { return damaged_; }

 private:
  bool Varint(std::uint64_t* value);
  bool Fixed(std::size_t bytes, std::uint64_t* value);
  bool Read(std::uint64_t tag, WireField* field);
  bool Damaged();

  std::string_view rest_;
  std::vector<int> groups_;  // numbers of those that are open
  bool damaged_ = false;
};

// Whether `message` can be read to its end.
bool IsWireMessage(std::string_view message);

}  // namespace heed
