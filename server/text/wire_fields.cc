#include "server/text/wire_fields.h"

#include <cstddef>

namespace heed {
namespace {

constexpr std::size_t kMaxGroups = 100;  // one inside the other, as protobuf has it

enum WireType { kVarintType = 0, kFixed64Type = 1, kBytesType = 2, kStartGroup = 3, kEndGroup = 4, kFixed32Type = 5 };

}  // namespace

bool WireFields::Damaged() {
  damaged_ = true;
  rest_ = {};
  return false;
}

bool WireFields::Varint(std::uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 70 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    *value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return true;
  }
  return Damaged();
}

bool WireFields::Fixed(std::size_t bytes, std::uint64_t* value) {
  if (rest_.size() < bytes) return Damaged();
  *value = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    *value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(rest_[i])) << (8 * i);
  }
  rest_.remove_prefix(bytes);
  return true;
}

bool WireFields::Read(std::uint64_t tag, WireField* field) {
  switch (tag & 7) {
    case kVarintType:
      field->kind = WireField::Kind::kVarint;
      return Varint(&field->value);
    case kFixed64Type:
      field->kind = WireField::Kind::kFixed64;
      return Fixed(8, &field->value);
    case kFixed32Type:
      field->kind = WireField::Kind::kFixed32;
      return Fixed(4, &field->value);
    case kBytesType: {
      std::uint64_t size = 0;
      if (!Varint(&size)) return false;
      if (size > rest_.size()) return Damaged();
      field->kind = WireField::Kind::kBytes;
      field->bytes = rest_.substr(0, size);
      rest_.remove_prefix(size);
      return true;
    }
    default:
      return Damaged();
  }
}

bool WireFields::Next(WireField* field) {
  while (!rest_.empty()) {
    std::uint64_t tag = 0;
    if (!Varint(&tag)) return false;
    if (tag > 0xFFFFFFFF || tag >> 3 == 0) return Damaged();
    field->number = static_cast<int>(tag >> 3);
    if ((tag & 7) == kStartGroup) {
      if (groups_.size() == kMaxGroups) return Damaged();
      groups_.push_back(field->number);
    } else if ((tag & 7) == kEndGroup) {
      if (groups_.empty() || groups_.back() != field->number) return Damaged();
      groups_.pop_back();
    } else {
      if (!Read(tag, field)) return false;
      if (groups_.empty()) return true;
    }
  }
  return groups_.empty() ? false : Damaged();
}

bool IsWireMessage(std::string_view message) {
  WireFields fields(message);
  for (WireField field; fields.Next(&field);) {
  }
  return !fields.damaged();
}

}  // namespace heed
