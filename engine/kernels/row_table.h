// Rows that are read one at a time, kept in a precision: an embedding, and the output layer's rows under a shortlist.
//
// Immutable, so safe to share.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/buffer.h"
#include "engine/kernels/packing.h"

namespace heed {

// y [k] = row of a weight, whatever it is stored as.
void ReadRow(const Weight& weight, int row, float* y);

class RowTable {
 public:
  RowTable(const Weight& rows, Precision precision);
  // Memory that one takes.
  static std::int64_t Bytes(int n, int k, Precision precision);

  int n() const { return n_; }
  int k() const { return k_; }
  Precision precision() const { return precision_; }

  // y [k] = factor * row.
  void Read(int row, float factor, float* y) const;

  // Of a row as its precision has it: [k] elements.
  const float* AsFloats(int row) const { return numbers_.data() + At(row); }
  const std::uint16_t* AsBfloat16(int row) const {
    return reinterpret_cast<const std::uint16_t*>(numbers_.data()) + At(row);
  }
  const std::int8_t* AsInt8(int row) const { return reinterpret_cast<const std::int8_t*>(numbers_.data()) + At(row); }
  // Of int8 rows, quantise.h.
  const float* scales() const { return scales_.data(); }
  const std::int32_t* sums() const { return reinterpret_cast<const std::int32_t*>(sums_.data()); }

 private:
  std::size_t At(int row) const { return static_cast<std::size_t>(row) * k_; }
  static std::size_t Floats(int n, int k, Precision precision);

  const int n_, k_;
  const Precision precision_;
  Buffer numbers_, scales_, sums_;
};

}  // namespace heed
