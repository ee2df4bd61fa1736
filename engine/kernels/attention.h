// Attention of one query over one ragged memory: energies, softmax, context.
//
// Nothing is padded: a call sees its own source alone, so its result cannot depend on neighbours. Sums are in float32.
// Plain functions, thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace heed {

// Keys or values of a source's positions: rows `stride` elements apart, in float32 or bfloat16 (where floats is null).
struct MemoryRows {
  const float* floats = nullptr;
  const std::uint16_t* bfloat16 = nullptr;
  int stride = 0;

  // The same from that column on: a head.
  MemoryRows From(int column) const {
    if (floats != nullptr) return {floats + column, nullptr, stride};
    return {nullptr, bfloat16 + column, stride};
  }
};

// Asks for those rows to come closer, since they will be read next: as many as leave room in a cache for what works
// meanwhile. Changes nothing.
inline void Prefetch(const MemoryRows& rows, int positions) {
  const std::size_t numbers = static_cast<std::size_t>(positions) * rows.stride;
  const char* from = reinterpret_cast<const char*>(rows.floats);
  std::size_t bytes = numbers * sizeof(float);
  if (from == nullptr) {
    from = reinterpret_cast<const char*>(rows.bfloat16);
    bytes = from == nullptr ? 0 : numbers * sizeof(std::uint16_t);
  }
  bytes = std::min(bytes, std::size_t{128} << 10);
  for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i, /*rw=*/0, /*locality=*/2);
}

// e_j = scale * q . k_j for each position j (Luong et al. 2015). q [size], keys [positions] rows of size.
void DotEnergies(const float* q, const MemoryRows& keys, int positions, int size, float scale, float* e);

// e_j = v . tanh(q + k_j) + v_bias (Bahdanau et al. 2015), q and k_j already projected.
void AdditiveEnergies(const float* q, const MemoryRows& keys, const float* v, float v_bias, int positions, int size,
                      float* e);

// The same with coverage (See et al. 2017): e_j = v . tanh(q + k_j + coverage_j * coverage_weight) + v_bias. coverage
// [positions], coverage_weight [size].
void CoverageEnergies(const float* q, const MemoryRows& keys, const float* v, float v_bias, const float* coverage,
                      const float* coverage_weight, int positions, int size, float* e);

// w = softmax(e), [n] each; w may be e.
void Softmax(const float* e, int n, float* w);

// w = the point of the simplex nearest to e (Martins and Astudillo 2016): max(e_j - tau, 0), tau such that they sum to
// 1. [n] each.
void Sparsemax(const float* e, int n, float* w);

// out [size] = sum over j of w_j * values_j.
void WeightedSum(const float* w, const MemoryRows& values, int positions, int size, float* out);

}  // namespace heed
