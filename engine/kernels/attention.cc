#include "engine/kernels/attention.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/attention.cc"
#include "hwy/foreach_target.h"
// After foreach_target, which decides for what each inclusion compiles.
#include "engine/kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

void DotEnergies(const float* q, const float* keys, int positions, int size, int stride, float scale, float* e) {
  const D d;
  const std::size_t n = size, step = Width(), whole = n / (2 * step) * (2 * step);
  for (int j = 0; j < positions; ++j) {
    const float* k = keys + static_cast<std::size_t>(j) * stride;
    V a = hn::Zero(d), b = hn::Zero(d);
    std::size_t i = 0;
    for (; i < whole; i += 2 * step) {
      a = hn::MulAdd(hn::LoadU(d, q + i), hn::LoadU(d, k + i), a);
      b = hn::MulAdd(hn::LoadU(d, q + i + step), hn::LoadU(d, k + i + step), b);
    }
    for (; i < n; i += step) a = hn::MulAdd(LoadAt(q, i, n - i), LoadAt(k, i, n - i), a);
    e[j] = scale * hn::GetLane(hn::SumOfLanes(d, hn::Add(a, b)));
  }
}

void AdditiveEnergies(const float* q, const float* keys, const float* v, float v_bias, int positions, int size,
                      int stride, float* e) {
  const D d;
  const std::size_t n = size, step = Width();
  for (int j = 0; j < positions; ++j) {
    const float* k = keys + static_cast<std::size_t>(j) * stride;
    V sum = hn::Zero(d);
    for (std::size_t i = 0; i < n; i += step) {
      const std::size_t left = n - i;
      sum = hn::MulAdd(LoadAt(v, i, left), Tanh(hn::Add(LoadAt(q, i, left), LoadAt(k, i, left))), sum);
    }
    e[j] = hn::GetLane(hn::SumOfLanes(d, sum)) + v_bias;
  }
}

void CoverageEnergies(const float* q, const float* keys, const float* v, float v_bias, const float* coverage,
                      const float* coverage_weight, int positions, int size, int stride, float* e) {
  const D d;
  const std::size_t n = size, step = Width();
  for (int j = 0; j < positions; ++j) {
    const float* k = keys + static_cast<std::size_t>(j) * stride;
    const V covered = hn::Set(d, coverage[j]);
    V sum = hn::Zero(d);
    for (std::size_t i = 0; i < n; i += step) {
      const std::size_t left = n - i;
      const V sums = hn::Add(LoadAt(q, i, left), LoadAt(k, i, left));
      sum = hn::MulAdd(LoadAt(v, i, left), Tanh(hn::MulAdd(covered, LoadAt(coverage_weight, i, left), sums)), sum);
    }
    e[j] = hn::GetLane(hn::SumOfLanes(d, sum)) + v_bias;
  }
}

void Softmax(const float* e, int n, float* w) {
  const D d;
  const std::size_t size = n, step = Width();
  V top = hn::Set(d, e[0]);
  for (std::size_t i = 0; i < size; i += step) top = hn::Max(top, LoadAt(e, i, size - i, e[0]));
  const V most = hn::Set(d, hn::GetLane(hn::MaxOfLanes(d, top)));
  V sum = hn::Zero(d);
  for (std::size_t i = 0; i < size; i += step) {
    const V x = Exp(hn::Sub(LoadAt(e, i, size - i, -1e30f), most));
    StoreAt(x, w, i, size - i);
    // What fills a partial vector must not count.
    sum = hn::Add(sum, LoadAt(w, i, size - i));
  }
  const V factor = hn::Set(d, 1.0f / hn::GetLane(hn::SumOfLanes(d, sum)));
  for (std::size_t i = 0; i < size; i += step) StoreAt(hn::Mul(LoadAt(w, i, size - i), factor), w, i, size - i);
}

void WeightedSum(const float* w, const float* values, int positions, int size, int stride, float* out) {
  const D d;
  const std::size_t n = size, step = Width();
  std::size_t i = 0;
  // Four vectors at a time: one pass over the rows for each stretch of 4 * Width() columns.
  for (; i + 4 * step <= n; i += 4 * step) {
    V a = hn::Zero(d), b = hn::Zero(d), c = hn::Zero(d), g = hn::Zero(d);
    for (int j = 0; j < positions; ++j) {
      const float* row = values + static_cast<std::size_t>(j) * stride + i;
      const V weight = hn::Set(d, w[j]);
      a = hn::MulAdd(weight, hn::LoadU(d, row), a);
      b = hn::MulAdd(weight, hn::LoadU(d, row + step), b);
      c = hn::MulAdd(weight, hn::LoadU(d, row + 2 * step), c);
      g = hn::MulAdd(weight, hn::LoadU(d, row + 3 * step), g);
    }
    hn::StoreU(a, d, out + i);
    hn::StoreU(b, d, out + i + step);
    hn::StoreU(c, d, out + i + 2 * step);
    hn::StoreU(g, d, out + i + 3 * step);
  }
  for (; i < n; i += step) {
    V a = hn::Zero(d);
    for (int j = 0; j < positions; ++j) {
      const float* row = values + static_cast<std::size_t>(j) * stride;
      a = hn::MulAdd(hn::Set(d, w[j]), LoadAt(row, i, n - i), a);
    }
    StoreAt(a, out, i, n - i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed {

HWY_EXPORT(DotEnergies);
HWY_EXPORT(AdditiveEnergies);
HWY_EXPORT(CoverageEnergies);
HWY_EXPORT(Softmax);
HWY_EXPORT(WeightedSum);

void DotEnergies(const float* q, const float* keys, int positions, int size, int stride, float scale, float* e) {
  HWY_DYNAMIC_DISPATCH(DotEnergies)(q, keys, positions, size, stride, scale, e);
}
void AdditiveEnergies(const float* q, const float* keys, const float* v, float v_bias, int positions, int size,
                      int stride, float* e) {
  HWY_DYNAMIC_DISPATCH(AdditiveEnergies)(q, keys, v, v_bias, positions, size, stride, e);
}
void CoverageEnergies(const float* q, const float* keys, const float* v, float v_bias, const float* coverage,
                      const float* coverage_weight, int positions, int size, int stride, float* e) {
  HWY_DYNAMIC_DISPATCH(CoverageEnergies)
  (q, keys, v, v_bias, coverage, coverage_weight, positions, size, stride, e);
}
void Softmax(const float* e, int n, float* w) { HWY_DYNAMIC_DISPATCH(Softmax)(e, n, w); }

// Michelot's algorithm (1986): what lies at or below tau drops out and tau rises until nothing does. A few rounds over
// a short list: plain loops.
void Sparsemax(const float* e, int n, float* w) {
  const double most = *std::max_element(e, e + n);
  double tau = -1;  // whatever lies 1 below the largest has weight 0
  for (int count = n + 1, in = 0;; count = in) {
    double sum = 0;
    in = 0;
    for (int j = 0; j < n; ++j) {
      if (e[j] - most <= tau) continue;
      sum += e[j] - most;
      ++in;
    }
    if (in == count) break;
    tau = (sum - 1) / in;
  }
  for (int j = 0; j < n; ++j) w[j] = static_cast<float>(std::max(e[j] - most - tau, 0.0));
}

void WeightedSum(const float* w, const float* values, int positions, int size, int stride, float* out) {
  HWY_DYNAMIC_DISPATCH(WeightedSum)(w, values, positions, size, stride, out);
}

}  // namespace heed
#endif
