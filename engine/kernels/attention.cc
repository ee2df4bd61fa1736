#include "engine/kernels/attention.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/attention.cc"
#include "hwy/foreach_target.h"
// After foreach_target, which decides for what each inclusion compiles.
#include "engine/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

// Calls f with a function that gives position j's row.
template <typename F>
HWY_INLINE void WithRows(const MemoryRows& rows, const F& f) {
  const std::size_t stride = rows.stride;
  if (rows.floats != nullptr) {
    f([p = rows.floats, stride](std::size_t j) HWY_ATTR { return FloatRow{p + j * stride}; });
  } else {
    f([p = rows.bfloat16, stride](std::size_t j) HWY_ATTR { return Bfloat16Row{p + j * stride}; });
  }
}

// Sums across lanes of as many vectors as one has lanes, vector j's in lane j: each level adds neighbours and leaves
// half as many vectors. Overwrites them.
HWY_INLINE V SumsOf(V* v) {
  const D d;
#if HWY_TARGET != HWY_SCALAR
  for (std::size_t count = Width(); count > 1; count /= 2) {
    for (std::size_t i = 0; i < count / 2; ++i) {
      const V a = v[2 * i], b = v[2 * i + 1];
      v[i] = hn::Add(hn::ConcatEven(d, b, a), hn::ConcatOdd(d, b, a));
    }
  }
#else
  (void)d;
#endif
  return v[0];
}

// Four positions share what is loaded of the query, and a vector's width of them one sum across lanes.
template <typename RowAt>
HWY_INLINE void DotWith(const float* q, const RowAt& row, std::size_t positions, std::size_t n, float scale, float* e) {
  const D d;
  const std::size_t step = Width();
  for (std::size_t first = 0; first < positions; first += step) {
    const std::size_t count = std::min(step, positions - first);
    V sums[HWY_MAX_BYTES / sizeof(float)];
    std::size_t j = 0;
    for (; j + 4 <= count; j += 4) {
      const std::size_t at = first + j;
      FourProducts(q, n, row(at), row(at + 1), row(at + 2), row(at + 3), sums + j);
    }
    for (; j < count; ++j) sums[j] = OneProduct(q, n, row(first + j));
    for (; j < step; ++j) sums[j] = hn::Zero(d);
    StoreAt(hn::Mul(hn::Set(d, scale), SumsOf(sums)), e, first, positions - first);
  }
}

void DotEnergies(const float* q, const MemoryRows& keys, int positions, int size, float scale, float* e) {
  WithRows(keys, [&](const auto& row) HWY_ATTR { DotWith(q, row, positions, size, scale, e); });
}

void AdditiveEnergies(const float* q, const MemoryRows& keys, const float* v, float v_bias, int positions, int size,
                      float* e) {
  const std::size_t n = size, step = Width();
  WithRows(keys, [&](const auto& row) HWY_ATTR {
    for (int j = 0; j < positions; ++j) {
      const auto k = row(j);
      V sum = hn::Zero(D());
      for (std::size_t i = 0; i < n; i += step) {
        const std::size_t left = n - i;
        sum = hn::MulAdd(LoadAt(v, i, left), Tanh(hn::Add(LoadAt(q, i, left), k.At(i, left))), sum);
      }
      e[j] = hn::GetLane(hn::SumOfLanes(D(), sum)) + v_bias;
    }
  });
}

void CoverageEnergies(const float* q, const MemoryRows& keys, const float* v, float v_bias, const float* coverage,
                      const float* coverage_weight, int positions, int size, float* e) {
  const std::size_t n = size, step = Width();
  WithRows(keys, [&](const auto& row) HWY_ATTR {
    for (int j = 0; j < positions; ++j) {
      const auto k = row(j);
      const V covered = hn::Set(D(), coverage[j]);
      V sum = hn::Zero(D());
      for (std::size_t i = 0; i < n; i += step) {
        const std::size_t left = n - i;
        const V sums = hn::Add(LoadAt(q, i, left), k.At(i, left));
        sum = hn::MulAdd(LoadAt(v, i, left), Tanh(hn::MulAdd(covered, LoadAt(coverage_weight, i, left), sums)), sum);
      }
      e[j] = hn::GetLane(hn::SumOfLanes(D(), sum)) + v_bias;
    }
  });
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

template <typename RowAt>
HWY_INLINE void SumWith(const float* w, const RowAt& rows, int positions, std::size_t n, float* out) {
  const D d;
  const std::size_t step = Width();
  std::size_t i = 0;
  // Four vectors at a time: one pass over the rows for each stretch of 4 * Width() columns.
  for (; i + 4 * step <= n; i += 4 * step) {
    V a = hn::Zero(d), b = a, c = a, g = a;
    for (int j = 0; j < positions; ++j) {
      const auto row = rows(j);
      const V weight = hn::Set(d, w[j]);
      a = hn::MulAdd(weight, row.At(i, step), a);
      b = hn::MulAdd(weight, row.At(i + step, step), b);
      c = hn::MulAdd(weight, row.At(i + 2 * step, step), c);
      g = hn::MulAdd(weight, row.At(i + 3 * step, step), g);
    }
    hn::StoreU(a, d, out + i);
    hn::StoreU(b, d, out + i + step);
    hn::StoreU(c, d, out + i + 2 * step);
    hn::StoreU(g, d, out + i + 3 * step);
  }
  for (; i < n; i += step) {
    V a = hn::Zero(d);
    for (int j = 0; j < positions; ++j) a = hn::MulAdd(hn::Set(d, w[j]), rows(j).At(i, n - i), a);
    StoreAt(a, out, i, n - i);
  }
}

void WeightedSum(const float* w, const MemoryRows& values, int positions, int size, float* out) {
  WithRows(values, [&](const auto& rows) HWY_ATTR { SumWith(w, rows, positions, size, out); });
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

void DotEnergies(const float* q, const MemoryRows& keys, int positions, int size, float scale, float* e) {
  HWY_DYNAMIC_DISPATCH(DotEnergies)(q, keys, positions, size, scale, e);
}
void AdditiveEnergies(const float* q, const MemoryRows& keys, const float* v, float v_bias, int positions, int size,
                      float* e) {
  HWY_DYNAMIC_DISPATCH(AdditiveEnergies)(q, keys, v, v_bias, positions, size, e);
}
void CoverageEnergies(const float* q, const MemoryRows& keys, const float* v, float v_bias, const float* coverage,
                      const float* coverage_weight, int positions, int size, float* e) {
  HWY_DYNAMIC_DISPATCH(CoverageEnergies)(q, keys, v, v_bias, coverage, coverage_weight, positions, size, e);
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

void WeightedSum(const float* w, const MemoryRows& values, int positions, int size, float* out) {
  HWY_DYNAMIC_DISPATCH(WeightedSum)(w, values, positions, size, out);
}

}  // namespace heed
#endif
