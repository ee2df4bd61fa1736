// Scaled dot-product attention of a source's positions over themselves (Vaswani et al. 2017), one head at a time.
//
// A call sees its own source alone, and each query's result is the same bits however many queries the call has. Plain
// functions, thread-safe.
#pragma once

#include <cstddef>

namespace heed {

// One head of one source: out_i [size] = sum over j of softmax_j(scale * q_i . k_j) v_j.
struct HeadAttention {
  const float* q = nullptr;  // `queries` rows, `stride` floats apart
  const float* k = nullptr;  // `positions` rows, `stride` floats apart, as v's
  const float* v = nullptr;
  int queries = 0;
  int positions = 0;
  int size = 0;
  int stride = 0;
  float scale = 1;
  float* out = nullptr;  // `queries` rows, out_stride floats apart
  int out_stride = 0;
  float* scratch = nullptr;  // SelfAttentionScratch(positions, size) floats, 64-byte aligned
};

std::size_t SelfAttentionScratch(int positions, int size);

void AttendHead(const HeadAttention& head);

}  // namespace heed
