// A tensor of weights: a name, a shape and its numbers, owned and immutable once the bundle is read. What the file
// stored as f32 or bf16 the engine sees as f32; what it stored as int8 stays so.
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
  std::vector<float> data;          // empty where the numbers are int8

  // Stored as int8: an element is its number times the scale of its row. Two dimensions.
  std::vector<std::int8_t> quantised;
  std::vector<float> scales;  // one a row
  // What the tensor is multiplied with is rounded to multiples of this, -127 to 127 of them (Marian's alphas). One for
  // all its rows, or as many as there are equal stretches of rows that have one each (weights of gates, stacked); none:
  // each row of what it is multiplied with has a scale of its own.
  std::vector<float> activation_scales;

  bool IsInt8() const { return !quantised.empty(); }
  // Of any two-dimensional tensor: its elements.
  std::vector<float> Floats() const;
  std::int64_t rows() const { return shape.empty() ? 1 : shape[0]; }
  std::int64_t columns() const { return shape.size() < 2 ? 1 : shape[1]; }
  std::int64_t elements() const { return static_cast<std::int64_t>(IsInt8() ? quantised.size() : data.size()); }
  // Of memory.
  std::int64_t bytes() const {
    return static_cast<std::int64_t>(quantised.size() +
                                     sizeof(float) * (data.size() + scales.size() + activation_scales.size()));
  }
};

inline std::vector<float> Tensor::Floats() const {
  if (!IsInt8()) return data;
  std::vector<float> floats(quantised.size());
  const auto width = static_cast<std::size_t>(columns());
  for (std::size_t i = 0; i < floats.size(); ++i) floats[i] = static_cast<float>(quantised[i]) * scales[i / width];
  return floats;
}

}  // namespace heed
