// A tensor of weights: a name, a shape and its floats, owned and immutable once the bundle is read. Whatever the file
// stored (f32, bf16), the engine sees f32.
//
// Immutable after construction, so safe to share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace heed {

struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;  // row-major; at most 2 dimensions
  std::vector<float> data;

  std::int64_t rows() const { return shape.empty() ? 1 : shape[0]; }
  std::int64_t columns() const { return shape.size() < 2 ? 1 : shape[1]; }
};

}  // namespace heed
