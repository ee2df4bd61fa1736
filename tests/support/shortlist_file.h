// The bytes of a lexical shortlist (lex.*.s2t.bin) for tests.
//
// Plain functions.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace heed {

// Writes a number where it belongs.
template <typename T>
void Put(std::string& bytes, std::size_t at, T value) {
  std::memcpy(&bytes[at], &value, sizeof value);
}

// What Marian's BinaryShortlistGenerator writes, its checksum written down anew from src/common/hash.h.
inline void Seal(std::string& bytes) {
  std::uint64_t seed = 0;
  for (std::size_t at = 16; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t value;
    std::memcpy(&value, &bytes[at], 8);
    seed = seed ^ (value + 0x9e3779b9 + (seed << 6) + (seed >> 2));
  }
  Put(bytes, 8, seed);
}

// Source id i has the list lists[i]; ids below `first` are candidates of every source.
inline std::string ShortlistBytes(std::uint64_t first, const std::vector<std::vector<std::uint32_t>>& lists) {
  std::string bytes(48 + 8 * (lists.size() + 1), '\0');
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    Put(bytes, 48 + 8 * i, count);
    count += lists[i].size();
    for (const std::uint32_t id : lists[i]) bytes.append(reinterpret_cast<const char*>(&id), 4);
  }
  Put(bytes, 48 + 8 * lists.size(), count);
  Put<std::uint64_t>(bytes, 0, 0xF11A48D5013417F5);
  Put<std::uint64_t>(bytes, 16, first);
  Put<std::uint64_t>(bytes, 24, 100);
  Put<std::uint64_t>(bytes, 32, lists.size() + 1);
  Put<std::uint64_t>(bytes, 40, count);
  Seal(bytes);
  return bytes;
}

}  // namespace heed
