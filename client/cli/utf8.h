// Whether bytes are text.
//
// Plain functions, thread-safe.
#pragma once

#include <unicode/utf8.h>

#include <cstdint>
#include <optional>
#include <string>

namespace heed::cli {

// Offset of the first byte that is not part of valid UTF-8.
inline std::optional<std::size_t> FirstInvalidUtf8(const std::string& text) {
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  const auto size = static_cast<std::int64_t>(text.size());
  for (std::int64_t next = 0; next < size;) {
    const std::int64_t begin = next;
    UChar32 c = 0;
    U8_NEXT(bytes, next, size, c);
    if (c < 0) return static_cast<std::size_t>(begin);
  }
  return std::nullopt;
}

}  // namespace heed::cli
