#include "engine/kernels/gather.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/gather.cc"
#include "hwy/foreach_target.h"
// After foreach_target, which decides for what each inclusion compiles.
#include "engine/kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr std::size_t kStretchBytes = std::size_t{512} << 10;

HWY_INLINE float Sum(V v) { return hn::GetLane(hn::SumOfLanes(D(), v)); }

// y[0 .. 3]: each lane of each sum is added up in the same order as in One, so both give the same bits.
HWY_INLINE void Four(const GatheredMatrix& w, const float* HWY_RESTRICT x, const TokenId* ids, float* y) {
  const D d;
  const std::size_t n = w.k, step = Width();
  const float* HWY_RESTRICT w0 = w.w + ids[0] * n;
  const float* HWY_RESTRICT w1 = w.w + ids[1] * n;
  const float* HWY_RESTRICT w2 = w.w + ids[2] * n;
  const float* HWY_RESTRICT w3 = w.w + ids[3] * n;
  V a = hn::Zero(d), b = hn::Zero(d), c = hn::Zero(d), e = hn::Zero(d);
  std::size_t i = 0;
  for (; i + step <= n; i += step) {
    const V v = hn::LoadU(d, x + i);
    a = hn::MulAdd(v, hn::LoadU(d, w0 + i), a);
    b = hn::MulAdd(v, hn::LoadU(d, w1 + i), b);
    c = hn::MulAdd(v, hn::LoadU(d, w2 + i), c);
    e = hn::MulAdd(v, hn::LoadU(d, w3 + i), e);
  }
  if (i < n) {
    const V v = LoadAt(x, i, n - i);
    a = hn::MulAdd(v, LoadAt(w0, i, n - i), a);
    b = hn::MulAdd(v, LoadAt(w1, i, n - i), b);
    c = hn::MulAdd(v, LoadAt(w2, i, n - i), c);
    e = hn::MulAdd(v, LoadAt(w3, i, n - i), e);
  }
  y[0] = Sum(a);
  y[1] = Sum(b);
  y[2] = Sum(c);
  y[3] = Sum(e);
}

HWY_INLINE float One(const GatheredMatrix& w, const float* HWY_RESTRICT x, TokenId id) {
  const std::size_t n = w.k, step = Width();
  const float* HWY_RESTRICT row = w.w + id * n;
  V a = hn::Zero(D());
  for (std::size_t i = 0; i < n; i += step) a = hn::MulAdd(LoadAt(x, i, n - i), LoadAt(row, i, n - i), a);
  return Sum(a);
}

void GatherProduct(GatheredRow* rows, int count, const GatheredMatrix& w) {
  const int stretch = static_cast<int>(std::max<std::size_t>(1, kStretchBytes / sizeof(float) / w.k));
  for (int begin = 0; begin < w.n; begin += stretch) {
    const int end = std::min(w.n, begin + stretch);
    for (GatheredRow* row = rows; row < rows + count; ++row) {
      const int first = row->done;
      const int last = static_cast<int>(std::lower_bound(row->ids + first, row->ids + row->count, end) - row->ids);
      int i = first;
      for (; i + 4 <= last; i += 4) Four(w, row->x, row->ids + i, row->y + i);
      for (; i < last; ++i) row->y[i] = One(w, row->x, row->ids[i]);
      row->done = last;
    }
  }
  if (w.bias == nullptr) return;
  for (const GatheredRow* row = rows; row < rows + count; ++row) {
    for (int i = 0; i < row->count; ++i) row->y[i] += w.bias[row->ids[i]];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed {

HWY_EXPORT(GatherProduct);

void GatherProduct(GatheredRow* rows, int count, const GatheredMatrix& w) {
  HWY_DYNAMIC_DISPATCH(GatherProduct)(rows, count, w);
}

}  // namespace heed
#endif
