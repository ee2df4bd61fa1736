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

float BiasLogSumExp(const float* bias, int n, float* x) {
  const D d;
  const std::size_t size = n, step = Width();
  V top = hn::Set(d, kLowest);
  for (std::size_t i = 0; i < size; i += step) {
    V v = LoadAt(x, i, size - i, kLowest);
    if (bias != nullptr) {
      v = hn::Add(v, LoadAt(bias, i, size - i));
      StoreAt(v, x, i, size - i);
    }
    top = hn::Max(top, v);
  }
  const float most = hn::GetLane(hn::MaxOfLanes(d, top));
  const V offset = hn::Set(d, most);
  V sum = hn::Zero(d);
  const std::size_t whole = size / step * step;
  for (std::size_t i = 0; i < whole; i += step) sum = hn::Add(sum, Exp(hn::Sub(hn::LoadU(d, x + i), offset)));
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (std::size_t i = whole; i < size; ++i) total += std::exp(x[i] - most);
  return most + std::log(total);
}

// Puts x[i] into the sorted list of `found` out of k; later equals stay behind earlier ones.
HWY_INLINE int Insert(const float* x, std::size_t i, int k, int found, ScoredToken* best) {
  int at = found < k ? found : k - 1;
  while (at > 0 && best[at - 1].value < x[i]) {
    best[at] = best[at - 1];
    --at;
  }
  best[at] = {static_cast<TokenId>(i), x[i]};
  return found < k ? found + 1 : k;
}

int TopK(const float* x, int n, int k, ScoredToken* best) {
  const D d;
  const std::size_t size = n, step = Width(), whole = size / step * step;
  int found = 0;
  float bar = kLowest;  // what a newcomer must exceed
  for (std::size_t i = 0; i < size;) {
    const std::size_t end = i < whole ? i + step : size;
    if (i < whole && hn::AllFalse(d, hn::Gt(hn::LoadU(d, x + i), hn::Set(d, bar)))) {
      i = end;
      continue;
    }
    for (; i < end; ++i) {
      if (!(x[i] > bar)) continue;
      found = Insert(x, i, k, found, best);
      if (found == k) bar = best[k - 1].value;
    }
  }
  return found;
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
HWY_EXPORT(SubtractFrom);

float BiasLogSumExp(const float* bias, int n, float* x) { return HWY_DYNAMIC_DISPATCH(BiasLogSumExp)(bias, n, x); }
int TopK(const float* x, int n, int k, ScoredToken* best) { return HWY_DYNAMIC_DISPATCH(TopK)(x, n, k, best); }
void SubtractFrom(float value, int n, float* x) { HWY_DYNAMIC_DISPATCH(SubtractFrom)(value, n, x); }

}  // namespace heed
#endif
