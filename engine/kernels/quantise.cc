#include "engine/kernels/quantise.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/quantise.cc"
#include "hwy/foreach_target.h"
// After foreach_target, which decides for what each inclusion compiles.
#include "engine/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

using I = hn::RebindToSigned<D>;
using VI = hn::Vec<I>;
using U = hn::RebindToUnsigned<D>;

// Numbers from 0 to `most` of a last partial vector too.
HWY_INLINE void StoreBytes(VI v, std::uint8_t* q, std::size_t i, std::size_t left) {
  const hn::Rebind<std::uint8_t, I> bytes;
  if (HWY_LIKELY(left >= Width())) {
    hn::StoreU(hn::DemoteTo(bytes, v), bytes, q + i);
    return;
  }
  HWY_ALIGN std::uint8_t last[HWY_MAX_BYTES];
  hn::StoreU(hn::DemoteTo(bytes, v), bytes, last);
  std::memcpy(q + i, last, left);
}

// |x factor| is at most about `most`.
HWY_INLINE VI Rounded(V x, V factor, VI zero, VI most) {
  const I i;
  const VI q = hn::Add(hn::NearestInt(hn::Mul(x, factor)), zero);
  return hn::Min(hn::Max(q, hn::Zero(i)), most);
}

void QuantiseRows(int rows, int k, const float* x, int levels, const QuantisedRows& to) {
  const D d;
  const I di;
  const std::size_t size = k, step = Width();
  std::uint8_t* q = to.q;
  for (int r = 0; r < rows; ++r, x += size, q += size) {
    V low = hn::Zero(d), high = hn::Zero(d);
    for (std::size_t i = 0; i < size; i += step) {
      const V v = LoadAt(x, i, size - i);
      low = hn::Min(low, v);
      high = hn::Max(high, v);
    }
    const float least = hn::GetLane(hn::MinOfLanes(d, low)), most = hn::GetLane(hn::MaxOfLanes(d, high));
    const float range = most - least;
    // Below this the factor would overflow; such a row is nothing.
    const bool something = range > 1e-30f;
    const float scale = something ? range / static_cast<float>(levels) : 1.0f;
    const float factor = something ? static_cast<float>(levels) / range : 0.0f;
    const std::int32_t zero = std::clamp(static_cast<int>(std::nearbyint(-least * factor)), 0, levels);
    to.scale[r] = scale;
    to.zero[r] = zero;
    const V factors = hn::Set(d, factor);
    const VI zeros = hn::Set(di, zero), top = hn::Set(di, levels);
    for (std::size_t i = 0; i < size; i += step) {
      StoreBytes(Rounded(LoadAt(x, i, size - i), factors, zeros, top), q, i, size - i);
    }
  }
}

void QuantiseRowsBy(float scale, int most, int rows, int k, const float* x, const QuantisedRows& to) {
  const D d;
  const I di;
  const std::size_t size = k, step = Width();
  const V factor = hn::Set(d, 1.0f / scale), bound = hn::Set(d, static_cast<float>(most));
  const VI zero = hn::Set(di, most);
  std::uint8_t* q = to.q;
  for (int r = 0; r < rows; ++r, x += size, q += size) {
    to.scale[r] = scale;
    to.zero[r] = most;
    for (std::size_t i = 0; i < size; i += step) {
      // Bounded first: what is no int would become the least one.
      const V wanted = hn::Mul(LoadAt(x, i, size - i), factor);
      const V bounded = hn::Min(hn::Max(wanted, hn::Neg(bound)), bound);
      StoreBytes(hn::Add(hn::NearestInt(bounded), zero), q, i, size - i);
    }
  }
}

template <typename F>
HWY_INLINE void DequantiseShifted(const F& f, int rows, std::size_t n, std::size_t stride, const SumScales& scales,
                                  const float* bias, float* y) {
  const D d;
  const I di;
  const std::size_t step = Width();
  for (int r = 0; r < rows; ++r, y += stride) {
    for (std::size_t i = 0; i < n; i += step) {
      const std::size_t left = n - i;
      const V sum = hn::ConvertTo(d, hn::BitCast(di, LoadAt(y, i, left)));
      const V shift = LoadAt(scales.column_shift, i, left);
      const V added = bias == nullptr ? hn::Neg(shift) : hn::Sub(LoadAt(bias, i, left), shift);
      StoreAt(f(hn::Add(hn::Mul(sum, LoadAt(scales.column_scale, i, left)), added)), y, i, left);
    }
  }
}

template <typename F>
HWY_INLINE void DequantiseWith(const F& f, int rows, std::size_t n, std::size_t stride, const SumScales& scales,
                               const float* bias, float* y) {
  if (scales.column_shift != nullptr) return DequantiseShifted(f, rows, n, stride, scales, bias, y);
  const D d;
  const I di;
  const std::size_t step = Width();
  for (int r = 0; r < rows; ++r, y += stride) {
    const V scale = hn::Set(d, scales.row_scale[r]);
    const VI zero = hn::Set(di, scales.row_zero[r]);
    const float* sums = reinterpret_cast<const float*>(scales.column_sum);
    for (std::size_t i = 0; i < n; i += step) {
      const std::size_t left = n - i;
      const VI sum = hn::BitCast(di, LoadAt(y, i, left));
      const VI exact = hn::Sub(sum, hn::Mul(zero, hn::BitCast(di, LoadAt(sums, i, left))));
      const V product = hn::Mul(hn::ConvertTo(d, exact), hn::Mul(scale, LoadAt(scales.column_scale, i, left)));
      StoreAt(f(bias == nullptr ? product : hn::Add(product, LoadAt(bias, i, left))), y, i, left);
    }
  }
}

void DequantiseRows(Activation f, int rows, int n, int stride, const SumScales& scales, const float* bias, float* y) {
  if (f == Activation::kIdentity) {
    DequantiseWith([](V v) HWY_ATTR { return v; }, rows, n, stride, scales, bias, y);
  } else if (f == Activation::kRelu) {
    DequantiseWith([](V v) HWY_ATTR { return hn::Max(v, hn::Zero(D())); }, rows, n, stride, scales, bias, y);
  } else {
    DequantiseWith([f](V v) HWY_ATTR { return Activate(f, v); }, rows, n, stride, scales, bias, y);
  }
}

void ToBfloat16(std::int64_t count, const float* x, std::uint16_t* y) {
  const U du;
  const hn::Rebind<std::uint16_t, U> half;
  const std::size_t size = count, step = Width();
  const auto low = hn::Set(du, 0x7FFF), one = hn::Set(du, 1);
  for (std::size_t i = 0; i < size; i += step) {
    const std::size_t left = size - i;
    const auto bits = hn::BitCast(du, LoadAt(x, i, left));
    const auto odd = hn::And(hn::ShiftRight<16>(bits), one);
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(low, odd)));
    // Below 2^16, so that the signed form, which saturates, keeps it.
    const auto halves = hn::DemoteTo(half, hn::BitCast(I(), rounded));
    if (HWY_LIKELY(left >= step)) {
      hn::StoreU(halves, half, y + i);
    } else {
      HWY_ALIGN std::uint16_t last[HWY_MAX_BYTES / 2];
      hn::StoreU(halves, half, last);
      std::memcpy(y + i, last, left * sizeof(std::uint16_t));
    }
  }
}

template <typename Row>
HWY_INLINE void From(float factor, std::size_t n, Row row, float* y) {
  const V factors = hn::Set(D(), factor);
  for (std::size_t i = 0; i < n; i += Width()) StoreAt(hn::Mul(factors, row.At(i, n - i)), y, i, n - i);
}

void FromBfloat16(float factor, int n, const std::uint16_t* x, float* y) { From(factor, n, Bfloat16Row{x}, y); }
void FromInt8(float factor, int n, const std::int8_t* x, float* y) { From(factor, n, Int8Row{x}, y); }

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed {

HWY_EXPORT(QuantiseRows);
HWY_EXPORT(QuantiseRowsBy);
HWY_EXPORT(DequantiseRows);
HWY_EXPORT(ToBfloat16);
HWY_EXPORT(FromBfloat16);
HWY_EXPORT(FromInt8);

void QuantiseRows(int rows, int k, const float* x, int levels, const QuantisedRows& to) {
  HWY_DYNAMIC_DISPATCH(QuantiseRows)(rows, k, x, levels, to);
}
void QuantiseRowsBy(float scale, int most, int rows, int k, const float* x, const QuantisedRows& to) {
  HWY_DYNAMIC_DISPATCH(QuantiseRowsBy)(scale, most, rows, k, x, to);
}
void DequantiseRows(Activation f, int rows, int n, int stride, const SumScales& scales, const float* bias, float* y) {
  HWY_DYNAMIC_DISPATCH(DequantiseRows)(f, rows, n, stride, scales, bias, y);
}
void ToBfloat16(std::int64_t count, const float* x, std::uint16_t* y) { HWY_DYNAMIC_DISPATCH(ToBfloat16)(count, x, y); }
void FromBfloat16(float factor, int n, const std::uint16_t* x, float* y) {
  HWY_DYNAMIC_DISPATCH(FromBfloat16)(factor, n, x, y);
}
void FromInt8(float factor, int n, const std::int8_t* x, float* y) { HWY_DYNAMIC_DISPATCH(FromInt8)(factor, n, x, y); }

void ShiftSums(int n, float row_scale, int row_zero, float* column_scale, float* sum) {
  for (int j = 0; j < n; ++j) {
    column_scale[j] *= row_scale;
    sum[j] = static_cast<float>(row_zero * std::bit_cast<std::int32_t>(sum[j])) * column_scale[j];
  }
}

void QuantiseWeight(int n, int k, const float* w, std::int8_t* q, float* scale) {
  for (int j = 0; j < n; ++j, w += k, q += k) {
    float most = 0;
    for (int i = 0; i < k; ++i) most = std::max(most, std::abs(w[i]));
    scale[j] = most > 1e-30f ? most / 127 : 1;
    for (int i = 0; i < k; ++i) q[i] = static_cast<std::int8_t>(std::nearbyint(w[i] / scale[j]));
  }
}

void SumWeightRows(int n, int k, const std::int8_t* w, std::int32_t* sum) {
  for (int j = 0; j < n; ++j, w += k) {
    sum[j] = 0;
    for (int i = 0; i < k; ++i) sum[j] += w[i];
  }
}

}  // namespace heed
#endif
