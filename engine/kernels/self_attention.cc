#include "engine/kernels/self_attention.h"

#include <algorithm>

#include "engine/kernels/attention.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/self_attention.cc"
#include "hwy/foreach_target.h"
// After foreach_target, which decides for what each inclusion compiles.
#include "engine/kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

// Queries that share what is loaded of the keys and values. The last tile repeats its last query: the same result is
// written twice.
constexpr int kTile = 4;

// Energies of four queries over all positions; keys [size, padded] are transposed, energies [kTile, padded].
void TileEnergies(const float* const* q, const float* keys, std::size_t size, std::size_t padded, float scale,
                  float* energies) {
  const D d;
  const std::size_t step = Width();
  for (std::size_t j = 0; j < padded; j += 2 * step) {
    V a0 = hn::Zero(d), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    const float* k = keys + j;
    for (std::size_t i = 0; i < size; ++i, k += padded) {
      const V ka = hn::Load(d, k), kb = hn::Load(d, k + step);
      const V q0 = hn::Set(d, q[0][i]), q1 = hn::Set(d, q[1][i]), q2 = hn::Set(d, q[2][i]), q3 = hn::Set(d, q[3][i]);
      a0 = hn::MulAdd(q0, ka, a0);
      b0 = hn::MulAdd(q0, kb, b0);
      a1 = hn::MulAdd(q1, ka, a1);
      b1 = hn::MulAdd(q1, kb, b1);
      a2 = hn::MulAdd(q2, ka, a2);
      b2 = hn::MulAdd(q2, kb, b2);
      a3 = hn::MulAdd(q3, ka, a3);
      b3 = hn::MulAdd(q3, kb, b3);
    }
    const V s = hn::Set(d, scale);
    float* e = energies + j;
    hn::Store(hn::Mul(s, a0), d, e);
    hn::Store(hn::Mul(s, b0), d, e + step);
    hn::Store(hn::Mul(s, a1), d, e + padded);
    hn::Store(hn::Mul(s, b1), d, e + padded + step);
    hn::Store(hn::Mul(s, a2), d, e + 2 * padded);
    hn::Store(hn::Mul(s, b2), d, e + 2 * padded + step);
    hn::Store(hn::Mul(s, a3), d, e + 3 * padded);
    hn::Store(hn::Mul(s, b3), d, e + 3 * padded + step);
  }
}

// Contexts of four queries with weights [kTile, padded].
void TileContexts(const float* weights, std::size_t padded, const HeadAttention& head, float* const* out) {
  const D d;
  const std::size_t size = head.size, step = Width();
  std::size_t i = 0;
  for (; i + 2 * step <= size; i += 2 * step) {
    V a0 = hn::Zero(d), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    const float *v = head.v + i, *w = weights;
    for (int j = 0; j < head.positions; ++j, v += head.stride, ++w) {
      const V va = hn::LoadU(d, v), vb = hn::LoadU(d, v + step);
      const V w0 = hn::Set(d, w[0]), w1 = hn::Set(d, w[padded]);
      const V w2 = hn::Set(d, w[2 * padded]), w3 = hn::Set(d, w[3 * padded]);
      a0 = hn::MulAdd(w0, va, a0);
      b0 = hn::MulAdd(w0, vb, b0);
      a1 = hn::MulAdd(w1, va, a1);
      b1 = hn::MulAdd(w1, vb, b1);
      a2 = hn::MulAdd(w2, va, a2);
      b2 = hn::MulAdd(w2, vb, b2);
      a3 = hn::MulAdd(w3, va, a3);
      b3 = hn::MulAdd(w3, vb, b3);
    }
    hn::StoreU(a0, d, out[0] + i);
    hn::StoreU(b0, d, out[0] + i + step);
    hn::StoreU(a1, d, out[1] + i);
    hn::StoreU(b1, d, out[1] + i + step);
    hn::StoreU(a2, d, out[2] + i);
    hn::StoreU(b2, d, out[2] + i + step);
    hn::StoreU(a3, d, out[3] + i);
    hn::StoreU(b3, d, out[3] + i + step);
  }
  for (; i < size; i += step) {
    const std::size_t left = size - i;
    V a0 = hn::Zero(d), a1 = a0, a2 = a0, a3 = a0;
    const float *v = head.v, *w = weights;
    for (int j = 0; j < head.positions; ++j, v += head.stride, ++w) {
      const V va = LoadAt(v, i, left);
      a0 = hn::MulAdd(hn::Set(d, w[0]), va, a0);
      a1 = hn::MulAdd(hn::Set(d, w[padded]), va, a1);
      a2 = hn::MulAdd(hn::Set(d, w[2 * padded]), va, a2);
      a3 = hn::MulAdd(hn::Set(d, w[3 * padded]), va, a3);
    }
    StoreAt(a0, out[0], i, left);
    StoreAt(a1, out[1], i, left);
    StoreAt(a2, out[2], i, left);
    StoreAt(a3, out[3], i, left);
  }
}

void AttendHead(const HeadAttention& head, std::size_t padded) {
  const std::size_t size = head.size, stride = head.stride;
  // Transposed keys, so that energies lie side by side: no sums across lanes.
  float* keys = head.scratch;
  float* energies = keys + size * padded;
  for (std::size_t j = 0; j < padded; ++j) {
    const bool there = j < static_cast<std::size_t>(head.positions);
    for (std::size_t i = 0; i < size; ++i) keys[i * padded + j] = there ? head.k[j * stride + i] : 0;
  }
  for (int first = 0; first < head.queries; first += kTile) {
    const float* q[kTile];
    float* out[kTile];
    const int count = std::min(kTile, head.queries - first);
    for (int t = 0; t < kTile; ++t) {
      const std::size_t row = first + std::min(t, count - 1);
      q[t] = head.q + row * stride;
      out[t] = head.out + row * head.out_stride;
    }
    TileEnergies(q, keys, size, padded, head.scale, energies);
    for (int t = 0; t < kTile; ++t) {
      float* e = energies + t * padded;
      Softmax(e, head.positions, e);
    }
    TileContexts(energies, padded, head, out);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed {
namespace {

// Positions rounded up to two of the widest vectors.
std::size_t Padded(int positions) {
  constexpr std::size_t kWidest = 2 * 16;
  return (static_cast<std::size_t>(positions) + kWidest - 1) / kWidest * kWidest;
}

}  // namespace

HWY_EXPORT(AttendHead);

std::size_t SelfAttentionScratch(int positions, int size) {
  return Padded(positions) * (static_cast<std::size_t>(size) + 4);
}

void AttendHead(const HeadAttention& head) { HWY_DYNAMIC_DISPATCH(AttendHead)(head, Padded(head.positions)); }

}  // namespace heed
#endif
