// A weight as it comes, and how it is to be packed.
//
// Plain values.
#pragma once

#include <cstdint>
#include <tuple>
#include <vector>

#include "engine/base/precision.h"

namespace heed {

// A weight before it is packed, row-major [n, k]: floats, or int8 with a scale for each of its n rows.
struct Weight {
  int n = 0, k = 0;
  const float* floats = nullptr;
  const std::int8_t* quantised = nullptr;
  const float* scales = nullptr;
  // Of int8 weights: Tensor::activation_scales. Their number divides n.
  std::vector<float> activation_scales;
};

// How a weight is packed.
struct Packing {
  int n = 0, k = 0;
  Precision precision = Precision::kFloat32;  // int8 beyond kMaxInt8Depth is float32
  // Its product is used up some columns at a time, which stay in the cache: Gemm::RunBlock.
  bool streamed = false;
  int parts = 1;  // equal stretches of rows with an activation scale each

  bool operator<(const Packing& other) const {
    const auto all = [](const Packing& p) { return std::tie(p.n, p.k, p.precision, p.streamed, p.parts); };
    return all(*this) < all(other);
  }
};

}  // namespace heed
