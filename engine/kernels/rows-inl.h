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

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
