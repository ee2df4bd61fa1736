#include "server/text/charsmap.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/text/tokenizer.h"

namespace heed {
namespace {

// The fields of a Darts-clone unit. A node's children stand at its base XOR their byte; where HasLeaf says so, the
// unit at the base itself holds the value of the key that ends here.
std::uint32_t Offset(std::uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
std::uint32_t Label(std::uint32_t unit) { return unit & ((1u << 31) | 0xFF); }
bool HasLeaf(std::uint32_t unit) { return ((unit >> 8) & 1) == 1; }
std::uint32_t Value(std::uint32_t unit) { return unit & 0x7FFFFFFF; }

// Bounds of what a rule reads and writes; those of NFKC stay below 64 bytes.
constexpr std::size_t kMaxKeyBytes = 255;
constexpr std::size_t kMaxOutputBytes = 255;

}  // namespace

absl::StatusOr<Charsmap> Charsmap::Parse(std::string_view blob) {
  Charsmap map;
  if (blob.empty()) return map;
  std::uint32_t trie_bytes = 0;
  if (blob.size() <= sizeof(trie_bytes)) return absl::InvalidArgumentError("the character map has no trie");
  std::memcpy(&trie_bytes, blob.data(), sizeof(trie_bytes));  // little-endian, as the machines heed runs on
  blob.remove_prefix(sizeof(trie_bytes));
  if (trie_bytes >= blob.size() || trie_bytes == 0 || trie_bytes % sizeof(std::uint32_t) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the character map's trie says ", trie_bytes, " bytes of the ", blob.size(), " there are"));
  }
  map.units_.resize(trie_bytes / sizeof(std::uint32_t));
  std::memcpy(map.units_.data(), blob.data(), trie_bytes);
  map.outputs_ = std::string(blob.substr(trie_bytes));
  if (map.outputs_.back() != '\0' || !IsValidUtf8(map.outputs_)) {
    return absl::InvalidArgumentError("the character map's outputs are not NUL-terminated UTF-8");
  }
  for (std::size_t begin = 0, end = 0; begin < map.outputs_.size(); begin = end + 1) {
    end = map.outputs_.find('\0', begin);
    if (end - begin > kMaxOutputBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("a character rule gives ", end - begin, " bytes, at most ", kMaxOutputBytes, " are allowed"));
    }
  }
  return map;
}

Charsmap::Match Charsmap::Longest(std::string_view text) const {
  Match match;
  if (units_.empty()) return match;
  std::uint32_t base = Offset(units_[0]);
  for (std::size_t i = 0; i < std::min(text.size(), kMaxKeyBytes); ++i) {
    const std::uint32_t label = static_cast<std::uint8_t>(text[i]);
    const std::uint32_t position = base ^ label;
    if (position >= units_.size() || Label(units_[position]) != label) break;
    base = position ^ Offset(units_[position]);
    const bool boundary = i + 1 == text.size() || (static_cast<std::uint8_t>(text[i + 1]) & 0xC0) != 0x80;
    if (!boundary || !HasLeaf(units_[position]) || base >= units_.size()) continue;
    if (const std::uint32_t value = Value(units_[base]); value < outputs_.size()) {
      match = {static_cast<int>(i + 1), outputs_.c_str() + value};
    }
  }
  return match;
}

}  // namespace heed
