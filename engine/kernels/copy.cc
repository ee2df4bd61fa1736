#include "engine/kernels/copy.h"

#include <algorithm>
#include <cmath>

#include "engine/kernels/output.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/copy.cc"
#include "hwy/foreach_target.h"
// After foreach_target, which decides for what each inclusion compiles.
#include "engine/kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

// x = max(x + value, kNoProbability), in place.
void AddAtLeast(float value, int n, float* x) {
  const D d;
  const std::size_t size = n, step = Width();
  const V v = hn::Set(d, value), least = hn::Set(d, kNoProbability);
  for (std::size_t i = 0; i < size; i += step) {
    StoreAt(hn::Max(hn::Add(LoadAt(x, i, size - i), v), least), x, i, size - i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed {
namespace {

HWY_EXPORT(AddAtLeast);

float LogOf(double p) { return p > 0 ? std::max(static_cast<float>(std::log(p)), kNoProbability) : kNoProbability; }

}  // namespace

// Few ids are copied: they alone leave the logarithms, in doubles, whose exponentials do not vanish where a float's do.
void MixCopies(const Copies& copies, float generate, float copy, int vocabulary, int own, float* x) {
  const double c = std::clamp(copy, 0.0f, 1.0f);
  HWY_DYNAMIC_DISPATCH(AddAtLeast)(LogOf(std::clamp(generate, 0.0f, 1.0f)), vocabulary, x);
  std::fill(x + vocabulary, x + vocabulary + own, kNoProbability);
  for (int i = 0; i < copies.positions;) {
    const TokenId id = copies.ids[copies.order[i]];
    double mass = 0;
    for (; i < copies.positions && copies.ids[copies.order[i]] == id; ++i) mass += copies.weights[copies.order[i]];
    mass *= c;
    if (mass > 0) x[id] = LogOf(std::exp(double{x[id]}) + mass);
  }
}

CopiedPart CopiedPartOf(const Copies& copies, float copy, TokenId id, float log_probability) {
  CopiedPart part;
  double mass = 0;
  for (int j = 0; j < copies.positions; ++j) {
    if (copies.ids[j] != id) continue;
    mass += copies.weights[j];
    if (part.position < 0 || copies.weights[j] > copies.weights[part.position]) part.position = j;
  }
  const double p = std::exp(double{log_probability});
  if (p > 0) part.share = static_cast<float>(std::clamp(std::clamp(copy, 0.0f, 1.0f) * mass / p, 0.0, 1.0));
  return part;
}

}  // namespace heed
#endif
