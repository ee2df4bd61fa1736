#include "engine/kernels/elementwise.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/elementwise.cc"
#include "hwy/foreach_target.h"
// After foreach_target, which decides for what each inclusion compiles.
#include "engine/kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

void BiasActivateRows(Activation f, int rows, int n, const float* bias, float* y) {
  const std::size_t size = n, step = Width();
  for (int r = 0; r < rows; ++r, y += size) {
    for (std::size_t i = 0; i < size; i += step) {
      V x = LoadAt(y, i, size - i);
      if (bias != nullptr) x = hn::Add(x, LoadAt(bias, i, size - i));
      StoreAt(Activate(f, x), y, i, size - i);
    }
  }
}

void AddTo(int count, const float* x, float* y) {
  const std::size_t size = count, step = Width();
  for (std::size_t i = 0; i < size; i += step) {
    StoreAt(hn::Add(LoadAt(y, i, size - i), LoadAt(x, i, size - i)), y, i, size - i);
  }
}

void MulTo(int count, const float* x, float* y) {
  const std::size_t size = count, step = Width();
  for (std::size_t i = 0; i < size; i += step) {
    StoreAt(hn::Mul(LoadAt(y, i, size - i), LoadAt(x, i, size - i)), y, i, size - i);
  }
}

void Lerp(int count, const float* gate, const float* a, const float* b, float* y) {
  const std::size_t size = count, step = Width();
  for (std::size_t i = 0; i < size; i += step) {
    const V from = LoadAt(a, i, size - i);
    const V to = LoadAt(b, i, size - i);
    StoreAt(hn::MulAdd(LoadAt(gate, i, size - i), hn::Sub(to, from), from), y, i, size - i);
  }
}

void LayerNormRows(int rows, int n, const float* x, const float* scale, const float* bias, float epsilon, float* y) {
  const std::size_t size = n, step = Width();
  for (int r = 0; r < rows; ++r, x += size, y += size) {
    const Moments moments = MomentsOf(x, size, epsilon);
    for (std::size_t i = 0; i < size; i += step) {
      StoreAt(Normalised(moments, LoadAt(x, i, size - i), scale, bias, i, size - i), y, i, size - i);
    }
  }
}

void MeanOfRows(int rows, int n, const float* x, float* y) {
  const std::size_t size = n, step = Width();
  const V factor = hn::Set(D(), 1.0f / rows);
  for (std::size_t i = 0; i < size; i += step) {
    V sum = hn::Zero(D());
    for (int r = 0; r < rows; ++r) sum = hn::Add(sum, LoadAt(x + r * size, i, size - i));
    StoreAt(hn::Mul(sum, factor), y, i, size - i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed {

HWY_EXPORT(BiasActivateRows);
HWY_EXPORT(AddTo);
HWY_EXPORT(MulTo);
HWY_EXPORT(Lerp);
HWY_EXPORT(LayerNormRows);
HWY_EXPORT(MeanOfRows);

void BiasActivateRows(Activation f, int rows, int n, const float* bias, float* y) {
  if (f == Activation::kIdentity && bias == nullptr) return;
  HWY_DYNAMIC_DISPATCH(BiasActivateRows)(f, rows, n, bias, y);
}
void AddTo(int count, const float* x, float* y) { HWY_DYNAMIC_DISPATCH(AddTo)(count, x, y); }
void MulTo(int count, const float* x, float* y) { HWY_DYNAMIC_DISPATCH(MulTo)(count, x, y); }
void Lerp(int count, const float* gate, const float* a, const float* b, float* y) {
  HWY_DYNAMIC_DISPATCH(Lerp)(count, gate, a, b, y);
}
void LayerNormRows(int rows, int n, const float* x, const float* scale, const float* bias, float epsilon, float* y) {
  HWY_DYNAMIC_DISPATCH(LayerNormRows)(rows, n, x, scale, bias, epsilon, y);
}
void MeanOfRows(int rows, int n, const float* x, float* y) { HWY_DYNAMIC_DISPATCH(MeanOfRows)(rows, n, x, y); }

// The groups are small and odd: a plain loop.
void MaxoutRows(int rows, int n, int group, const float* x, float* y) {
  for (int i = 0; i < rows * n; ++i, x += group) {
    float best = x[0];
    for (int g = 1; g < group; ++g) best = x[g] > best ? x[g] : best;
    y[i] = best;
  }
}

}  // namespace heed
#endif
