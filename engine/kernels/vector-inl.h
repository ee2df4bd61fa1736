// Vector helpers shared by the kernels; included once per Highway target, inside foreach_target.
//
// LoadAt and StoreAt mask a last partial vector, so no kernel reads or writes past its arrays.
#if defined(HEED_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_VECTOR_INL_H_
#undef HEED_VECTOR_INL_H_
#else
#define HEED_VECTOR_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/base/activation.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

HWY_INLINE std::size_t Width() { return hn::Lanes(D()); }

// Elements [i, i + Width()) of p, of which `left` exist; `fill` stands for the others.
HWY_INLINE V LoadAt(const float* HWY_RESTRICT p, std::size_t i, std::size_t left, float fill = 0.0f) {
  const D d;
  if (HWY_LIKELY(left >= Width())) return hn::LoadU(d, p + i);
  const auto mask = hn::FirstN(d, left);
  return hn::IfThenElse(mask, hn::MaskedLoad(mask, d, p + i), hn::Set(d, fill));
}

HWY_INLINE void StoreAt(V v, float* HWY_RESTRICT p, std::size_t i, std::size_t left) {
  const D d;
  if (HWY_LIKELY(left >= Width())) {
    hn::StoreU(v, d, p + i);
    return;
  }
  hn::BlendedStore(v, hn::FirstN(d, left), d, p + i);
}

// e^x; x is clamped to where the result is a normal float.
HWY_INLINE V Exp(V x) {
  const D d;
  return hn::Exp(d, hn::Min(hn::Max(x, hn::Set(d, -87.0f)), hn::Set(d, 88.0f)));
}

// e^x of x at most 0: 2^n 2^f with n whole and |f| at most 1/2, 2^f by its series to the 6th power (the error of one
// unit in the last place). Below 2^-125 it is that. What rounding x log2(e) costs is |x| 2^-24 of the result, which is
// small where |x| is large: good for sums of such.
HWY_INLINE V ExpOfLoss(V x) {
  const D d;
  const hn::RebindToSigned<D> di;
  const V t = hn::Max(hn::Mul(x, hn::Set(d, 1.44269504f)), hn::Set(d, -125.0f));
  const auto n = hn::NearestInt(t);
  const V f = hn::Sub(t, hn::ConvertTo(d, n));
  V p = hn::Set(d, 1.54035304e-4f);
  p = hn::MulAdd(p, f, hn::Set(d, 1.33335581e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 9.61812911e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.55041087e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 2.40226507e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 6.93147181e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(n)));
}

// 1 / x for positive normal x. AVX-512 has an estimate of 14 bits: one Newton step makes it exact to a unit or two in
// the last place, in a third of the time of a division.
HWY_INLINE V Reciprocal(V x) {
#if HWY_TARGET <= HWY_AVX3
  const V y = hn::ApproximateReciprocal(x);
  return hn::Mul(y, hn::NegMulAdd(x, y, hn::Set(D(), 2.0f)));
#else
  return hn::Div(hn::Set(D(), 1.0f), x);
#endif
}

// Denominators stay below 1 + e^88, where the estimate's Newton step neither overflows nor loses the result.
HWY_INLINE V Sigmoid(V x) {
  const D d;
  return Reciprocal(hn::Add(hn::Set(d, 1.0f), Exp(hn::Neg(x))));
}

// 1 - 2 / (1 + e^2x): the absolute error stays below 1e-7, which is what the states need.
HWY_INLINE V Tanh(V x) {
  const D d;
  const V one = hn::Set(d, 1.0f);
  return hn::NegMulAdd(hn::Set(d, 2.0f), Reciprocal(hn::Add(one, Exp(hn::Add(x, x)))), one);
}

HWY_INLINE V Activate(Activation f, V x) {
  const D d;
  switch (f) {
    case Activation::kIdentity:
      return x;
    case Activation::kTanh:
      return Tanh(x);
    case Activation::kSigmoid:
      return Sigmoid(x);
    case Activation::kRelu:
      return hn::Max(x, hn::Zero(d));
    case Activation::kHardSigmoid:
    case Activation::kHardSigmoidSixth: {
      const V slope = hn::Set(d, f == Activation::kHardSigmoid ? 0.2f : 1.0f / 6);
      return hn::Min(hn::Max(hn::MulAdd(x, slope, hn::Set(d, 0.5f)), hn::Zero(d)), hn::Set(d, 1.0f));
    }
  }
  return x;
}

// Where a row's normalisation moves it to: (x - mean) * factor, factor = 1 / sqrt(variance + epsilon), variance biased.
struct Moments {
  float mean, factor;
};

HWY_INLINE Moments MomentsOf(const float* x, std::size_t size, float epsilon) {
  const D d;
  const std::size_t step = Width();
  V sum = hn::Zero(d);
  for (std::size_t i = 0; i < size; i += step) sum = hn::Add(sum, LoadAt(x, i, size - i));
  const float mean = hn::GetLane(hn::SumOfLanes(d, sum)) / static_cast<float>(size);
  V squares = hn::Zero(d);
  for (std::size_t i = 0; i < size; i += step) {
    const V away = hn::Sub(LoadAt(x, i, size - i, mean), hn::Set(d, mean));
    squares = hn::MulAdd(away, away, squares);
  }
  const float variance = hn::GetLane(hn::SumOfLanes(d, squares)) / static_cast<float>(size);
  return {mean, 1.0f / std::sqrt(variance + epsilon)};
}

// Elements [i, i + Width()) of x normalised, times scale, plus bias (null: nothing).
HWY_INLINE V Normalised(Moments m, V x, const float* scale, const float* bias, std::size_t i, std::size_t left) {
  const D d;
  const V away = hn::Mul(hn::Sub(x, hn::Set(d, m.mean)), hn::Set(d, m.factor));
  const V scaled = hn::Mul(away, LoadAt(scale, i, left));
  return bias == nullptr ? scaled : hn::Add(scaled, LoadAt(bias, i, left));
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
