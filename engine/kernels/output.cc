#include "engine/kernels/output.h"

#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/output.cc"
#include "hwy/foreach_target.h"
// After foreach_target, which decides for what each inclusion compiles.
#include "engine/kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// x += bias in place; the largest.
HWY_INLINE float BiasMax(const float* bias, std::size_t size, float* x) {
  const D d;
  V top = hn::Set(d, kLowest);
  for (std::size_t i = 0; i < size; i += Width()) {
    V v = LoadAt(x, i, size - i, kLowest);
    if (bias != nullptr) {
      v = hn::Add(v, LoadAt(bias, i, size - i));
      StoreAt(v, x, i, size - i);
    }
    top = hn::Max(top, v);
  }
  return hn::GetLane(hn::MaxOfLanes(d, top));
}

// Sum of e^(x - most). most is at least the largest x.
HWY_INLINE float SumExp(float most, std::size_t size, const float* x) {
  const D d;
  const std::size_t step = Width(), whole = size / step * step, pairs = whole / (2 * step) * (2 * step);
  const V offset = hn::Set(d, most);
  V sum = hn::Zero(d), other = sum;
  std::size_t i = 0;
  for (; i < pairs; i += 2 * step) {
    sum = hn::Add(sum, ExpOfLoss(hn::Sub(hn::LoadU(d, x + i), offset)));
    other = hn::Add(other, ExpOfLoss(hn::Sub(hn::LoadU(d, x + i + step), offset)));
  }
  for (; i < whole; i += step) sum = hn::Add(sum, ExpOfLoss(hn::Sub(hn::LoadU(d, x + i), offset)));
  float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum, other)));
  for (; i < size; ++i) total += std::exp(x[i] - most);
  return total;
}

float BiasLogSumExp(const float* bias, int n, float* x) {
  const float most = BiasMax(bias, n, x);
  return most + std::log(SumExp(most, n, x));
}

// Puts x[i], which is token `first` + i, into the sorted list of `found` out of k; later equals stay behind earlier
// ones.
HWY_INLINE int Insert(const float* x, std::size_t i, int first, int k, int found, ScoredToken* best) {
  int at = found < k ? found : k - 1;
  while (at > 0 && best[at - 1].value < x[i]) {
    best[at] = best[at - 1];
    --at;
  }
  best[at] = {first + static_cast<TokenId>(i), x[i]};
  return found < k ? found + 1 : k;
}

// Goes on from a list of `found`.
HWY_INLINE int BestOf(const float* x, int first, std::size_t size, int k, int found, ScoredToken* best) {
  const D d;
  const std::size_t step = Width(), whole = size / step * step;
  float bar = found == k ? best[k - 1].value : kLowest;  // what a newcomer must exceed
  for (std::size_t i = 0; i < size;) {
    const std::size_t end = i < whole ? i + step : size;
    if (i < whole && hn::AllFalse(d, hn::Gt(hn::LoadU(d, x + i), hn::Set(d, bar)))) {
      i = end;
      continue;
    }
    for (; i < end; ++i) {
      if (!(x[i] > bar)) continue;
      found = Insert(x, i, first, k, found, best);
      if (found == k) bar = best[k - 1].value;
    }
  }
  return found;
}

int TopK(const float* x, int n, int k, ScoredToken* best) { return BestOf(x, 0, n, k, 0, best); }

void ScanColumns(const float* bias, int first, int n, int k, float* x, RowScan* scan, ScoredToken* best) {
  const float most = BiasMax(bias, n, x);
  if (most > scan->top) {
    scan->sum *= std::exp(static_cast<double>(scan->top) - most);
    scan->top = most;
  }
  scan->sum += SumExp(scan->top, n, x);
  if (scan->found < k || (k > 0 && most > best[k - 1].value)) scan->found = BestOf(x, first, n, k, scan->found, best);
}

void SubtractFrom(float value, int n, float* x) {
  const std::size_t size = n, step = Width();
  const V v = hn::Set(D(), value);
  for (std::size_t i = 0; i < size; i += step) StoreAt(hn::Sub(LoadAt(x, i, size - i), v), x, i, size - i);
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed {

HWY_EXPORT(BiasLogSumExp);
HWY_EXPORT(TopK);
HWY_EXPORT(ScanColumns);
HWY_EXPORT(SubtractFrom);

float BiasLogSumExp(const float* bias, int n, float* x) { return HWY_DYNAMIC_DISPATCH(BiasLogSumExp)(bias, n, x); }
int TopK(const float* x, int n, int k, ScoredToken* best) { return HWY_DYNAMIC_DISPATCH(TopK)(x, n, k, best); }
void ScanColumns(const float* bias, int first, int n, int k, float* x, RowScan* scan, ScoredToken* best) {
  HWY_DYNAMIC_DISPATCH(ScanColumns)(bias, first, n, k, x, scan, best);
}
void SubtractFrom(float value, int n, float* x) { HWY_DYNAMIC_DISPATCH(SubtractFrom)(value, n, x); }

}  // namespace heed
#endif
