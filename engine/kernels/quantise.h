// Rounding to 8 and 16 bits, and back from sums of such products.
//
// A row x [k] as u8 is x ~ scale * (q - zero), with zero the q of 0. A weight [n, k] as s8 has a scale for each of its
// n rows. Their product is sum_i (q_i - zero) w_ji = sum_i q_i w_ji - zero * sum_i w_ji, exact in 32 bits up to
// kMaxInt8Depth, so a row of y depends on that row of x alone. All matrices are dense and row-major. Plain functions,
// thread-safe.
#pragma once

#include <cstdint>

#include "engine/base/activation.h"

namespace heed {

// Largest k whose sums fit 32 bits: 255 * 128 * k < 2^31.
inline constexpr int kMaxInt8Depth = 65000;

// How fine u8 is: numbers from 0 to `levels`.
inline constexpr int kFineLevels = 255;
inline constexpr int kCoarseLevels = 127;  // two products with s8 fit the 16-bit sums of machines without VNNI

struct QuantisedRows {
  std::uint8_t* q = nullptr;     // [rows, k]
  float* scale = nullptr;        // [rows], above 0
  std::int32_t* zero = nullptr;  // [rows], 0 to levels
};

// Each row by its own smallest and largest element, 0 included.
void QuantiseRows(int rows, int k, const float* x, int levels, const QuantisedRows& to);

// Every row by one scale, as Marian has it: round(x / scale), half to even, at most `most` either way; zero is `most`.
void QuantiseRowsBy(float scale, int most, int rows, int k, const float* x, const QuantisedRows& to);

// From the sums of a product to its result, in place: y [rows, stride], of which the first n columns are worked on,
// holds int32 and becomes f((sum - zero * column_sum) * (scale * column_scale) + bias). bias [n] may be null.
//
// With column_shift it becomes f(sum * column_scale + (bias - column_shift)), each step rounded to float32 and none
// fused with another, and the rest is not read: the order in which Marian does it, whose rounding decides what the next
// product is given. column_scale has the rows' one scale in it, column_shift is what their zero adds.
struct SumScales {
  const float* row_scale = nullptr;          // [rows]
  const std::int32_t* row_zero = nullptr;    // [rows]
  const float* column_scale = nullptr;       // [n]
  const std::int32_t* column_sum = nullptr;  // [n]
  const float* column_shift = nullptr;       // [n] or null
};
// Makes them so of column scales and sums, in place: `sum` [n] holds int32 and becomes column_shift.
void ShiftSums(int n, float row_scale, int row_zero, float* column_scale, float* sum);
void DequantiseRows(Activation f, int rows, int n, int stride, const SumScales& scales, const float* bias, float* y);

// A weight [n, k] by the largest magnitude of each of its rows, which becomes 127. A row of zeros has scale 1.
void QuantiseWeight(int n, int k, const float* w, std::int8_t* q, float* scale);

// sum [n] of each row of w [n, k].
void SumWeightRows(int n, int k, const std::int8_t* w, std::int32_t* sum);

// Rounds to bfloat16, half to even: the upper half of a float's bits. Finite numbers. [count] each.
void ToBfloat16(std::int64_t count, const float* x, std::uint16_t* y);

// y = factor * number, [n] each: a row of a table as it is stored.
void FromBfloat16(float factor, int n, const std::uint16_t* x, float* y);
void FromInt8(float factor, int n, const std::int8_t* x, float* y);

}  // namespace heed
