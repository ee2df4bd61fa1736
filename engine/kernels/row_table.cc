#include "engine/kernels/row_table.h"

#include <algorithm>
#include <cstring>

#include "engine/kernels/quantise.h"

namespace heed {
namespace {

constexpr std::size_t ScaleCount(int n, Precision precision) {
  return precision == Precision::kInt8 ? static_cast<std::size_t>(n) : 0;
}

}  // namespace

void ReadRow(const Weight& weight, int row, float* y) {
  const std::size_t at = static_cast<std::size_t>(row) * weight.k;
  if (weight.quantised != nullptr) {
    FromInt8(weight.scales[row], weight.k, weight.quantised + at, y);
  } else {
    std::copy_n(weight.floats + at, weight.k, y);
  }
}

std::size_t RowTable::Floats(int n, int k, Precision precision) {
  const std::size_t bytes = static_cast<std::size_t>(n) * k * NumberBytes(precision);
  return (bytes + sizeof(float) - 1) / sizeof(float);
}

std::int64_t RowTable::Bytes(int n, int k, Precision precision) {
  return SaturatingAdd(Buffer::Bytes(Floats(n, k, precision)), 2 * Buffer::Bytes(ScaleCount(n, precision)));
}

RowTable::RowTable(const Weight& rows, Precision precision)
    : n_(rows.n),
      k_(rows.k),
      precision_(precision),
      numbers_(Floats(rows.n, rows.k, precision)),
      scales_(ScaleCount(rows.n, precision)),
      sums_(ScaleCount(rows.n, precision)) {
  if (precision == Precision::kInt8) {
    auto* numbers = reinterpret_cast<std::int8_t*>(numbers_.data());
    if (rows.quantised != nullptr) {
      std::memcpy(numbers, rows.quantised, static_cast<std::size_t>(n_) * k_);
      std::copy_n(rows.scales, n_, scales_.data());
    } else {
      QuantiseWeight(n_, k_, rows.floats, numbers, scales_.data());
    }
    SumWeightRows(n_, k_, numbers, reinterpret_cast<std::int32_t*>(sums_.data()));
    return;
  }
  std::vector<float> row_floats(k_);
  for (int row = 0; row < n_; ++row) {
    if (precision == Precision::kFloat32) {
      ReadRow(rows, row, numbers_.data() + At(row));
    } else {
      ReadRow(rows, row, row_floats.data());
      ToBfloat16(k_, row_floats.data(), reinterpret_cast<std::uint16_t*>(numbers_.data()) + At(row));
    }
  }
}

void RowTable::Read(int row, float factor, float* y) const {
  switch (precision_) {
    case Precision::kFloat32: {
      const float* from = AsFloats(row);
      for (int i = 0; i < k_; ++i) y[i] = factor * from[i];
      return;
    }
    case Precision::kBfloat16:
      FromBfloat16(factor, k_, AsBfloat16(row), y);
      return;
    case Precision::kInt8:
      FromInt8(factor * scales()[row], k_, AsInt8(row), y);
      return;
  }
}

}  // namespace heed
