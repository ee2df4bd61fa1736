// Rows as kernels read them, whatever they are kept as; included once per Highway target, inside foreach_target.
#if defined(HEED_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_ROWS_INL_H_
#undef HEED_ROWS_INL_H_
#else
#define HEED_ROWS_INL_H_
#endif

#include "engine/kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

// How the elements of a row come as floats, whatever it is kept as: elements [i, i + Width()), of which `left` exist.
struct FloatRow {
  const float* p;
  HWY_INLINE V At(std::size_t i, std::size_t left) const { return LoadAt(p, i, left); }
};
struct Bfloat16Row {
  const std::uint16_t* p;
  HWY_INLINE V At(std::size_t i, std::size_t left) const {
    const hn::Rebind<std::uint16_t, D> half;
    if (HWY_LIKELY(left >= Width())) return Widened(hn::LoadU(half, p + i));
    HWY_ALIGN std::uint16_t last[HWY_MAX_BYTES / 2] = {};
    std::memcpy(last, p + i, left * sizeof(std::uint16_t));
    return Widened(hn::LoadU(half, last));
  }
  template <typename H>
  static HWY_INLINE V Widened(H half) {
    return hn::BitCast(D(), hn::ShiftLeft<16>(hn::PromoteTo(hn::RebindToUnsigned<D>(), half)));
  }
};

struct Int8Row {
  const std::int8_t* p;
  HWY_INLINE V At(std::size_t i, std::size_t left) const {
    const hn::Rebind<std::int8_t, D> bytes;
    if (HWY_LIKELY(left >= Width())) return Widened(hn::LoadU(bytes, p + i));
    HWY_ALIGN std::int8_t last[HWY_MAX_BYTES] = {};
    std::memcpy(last, p + i, left);
    return Widened(hn::LoadU(bytes, last));
  }
  template <typename B>
  static HWY_INLINE V Widened(B bytes) {
    return hn::ConvertTo(D(), hn::PromoteTo(hn::RebindToSigned<D>(), bytes));
  }
};

// Products of x [n] with four rows and with one, across whose lanes nobody has summed yet: each lane is added up in the
// same order in both.
template <typename Row>
HWY_INLINE void FourProducts(const float* HWY_RESTRICT x, std::size_t n, Row w0, Row w1, Row w2, Row w3, V* sums) {
  V a = hn::Zero(D()), b = a, c = a, e = a;
  for (std::size_t i = 0; i < n; i += Width()) {
    const std::size_t left = n - i;
    const V v = LoadAt(x, i, left);
    a = hn::MulAdd(v, w0.At(i, left), a);
    b = hn::MulAdd(v, w1.At(i, left), b);
    c = hn::MulAdd(v, w2.At(i, left), c);
    e = hn::MulAdd(v, w3.At(i, left), e);
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = e;
}
template <typename Row>
HWY_INLINE V OneProduct(const float* HWY_RESTRICT x, std::size_t n, Row w) {
  V a = hn::Zero(D());
  for (std::size_t i = 0; i < n; i += Width()) a = hn::MulAdd(LoadAt(x, i, n - i), w.At(i, n - i), a);
  return a;
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
