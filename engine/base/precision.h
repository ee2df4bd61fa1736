// In what the weights of a model are kept and multiplied. States, softmax, layer norms, scores and accumulations are
// float32 in each.
//
// Plain functions, thread-safe.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace heed {

enum class Precision {
  kFloat32,
  // Weights and what they are multiplied with rounded to bfloat16, sums in float32.
  kBfloat16,
  // Weights of 8 bits with a scale per output, what they are multiplied with of 8 bits with a scale per row; sums are
  // exact integers.
  kInt8,
};

// "float32", "bfloat16", "int8": as flags, bundles and metrics spell it.
constexpr std::string_view PrecisionName(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
      return "float32";
    case Precision::kBfloat16:
      return "bfloat16";
    case Precision::kInt8:
      return "int8";
  }
  return "";
}

// Bytes of one number.
constexpr std::size_t NumberBytes(Precision precision) {
  constexpr std::size_t kBytes[] = {4, 2, 1};
  return kBytes[static_cast<int>(precision)];
}

constexpr std::optional<Precision> PrecisionNamed(std::string_view name) {
  for (const Precision p : {Precision::kFloat32, Precision::kBfloat16, Precision::kInt8}) {
    if (PrecisionName(p) == name) return p;
  }
  return std::nullopt;
}

}  // namespace heed
