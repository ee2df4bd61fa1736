// Sums and products of sizes that a file or a flag named: what does not fit is the largest number, so that a bound that
// is checked afterwards still holds.
//
// Plain functions, thread-safe. Arguments are at least 0.
#pragma once

#include <cstdint>
#include <limits>

namespace heed {

inline constexpr std::int64_t kTooMany = std::numeric_limits<std::int64_t>::max();

constexpr std::int64_t SaturatingAdd(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? kTooMany : sum;
}

template <typename... Rest>
constexpr std::int64_t SaturatingAdd(std::int64_t a, std::int64_t b, Rest... rest) {
  return SaturatingAdd(SaturatingAdd(a, b), rest...);
}

constexpr std::int64_t SaturatingMultiply(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? kTooMany : product;
}

// Of an unsigned size.
constexpr std::int64_t Saturated(std::uint64_t size) {
  return size > static_cast<std::uint64_t>(kTooMany) ? kTooMany : static_cast<std::int64_t>(size);
}

}  // namespace heed
