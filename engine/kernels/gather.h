// Products of rows with some rows of a matrix only: the output layer under a shortlist.
//
// w is multiplied in its precision: of int8 rows the sums are exact integers, bfloat16 ones are widened.
//
// An element's bits depend on its x and its row of the matrix alone, whatever else is computed beside it. Plain
// function, thread-safe.
#pragma once

#include "engine/base/types.h"
#include "engine/kernels/row_table.h"

namespace heed {

struct GatheredMatrix {
  const RowTable* w = nullptr;  // [n, k]
  const float* bias = nullptr;  // [n], or null
};

struct GatheredRow {
  const float* x = nullptr;  // [k]
  // The same rounded, where w is int8 (quantise.h).
  const std::uint8_t* q = nullptr;
  float scale = 1;
  std::int32_t zero = 0;

  const TokenId* ids = nullptr;  // [count], ascending, each below n
  int count = 0;
  float* y = nullptr;  // [count]
  int done = 0;        // how many of y are there; 0 at first
};

// y[i] = w[ids[i]] . x + bias[ids[i]] of every row. The matrix is walked once from top to bottom, a stretch that stays
// in the cache at a time, so that rows with different ids share what they have in common.
//
// Measured at n = 32,000, k = 512, AVX-512, one busy core, 1,000 ids a row, each row its own: 0.13, 1.1 and 8.6 ms for
// 1, 8 and 64 rows, where the packed product over all n takes 3.5, 5.6 and 30 ms; with each row's 1,000 rows copied
// together beforehand 0.11, 1.2 and 14 ms, since nothing is shared then. With 3,000 ids: 0.47, 2.6 and 16 ms.
void GatherProduct(GatheredRow* rows, int count, const GatheredMatrix& w);

}  // namespace heed
