// From logits to what search needs: log-sum-exp and the best few.
//
// A row's result depends on that row alone. Plain functions, thread-safe.
#pragma once

#include <cmath>
#include <limits>

#include "engine/base/types.h"

namespace heed {

// Stands for the logarithm of 0 where a finite number is needed: below any log-probability that a model gives.
inline constexpr float kNoProbability = -1e4f;

// x += bias (null: nothing) in place, and returns log(sum of e^x). x [n], n at least 1.
float BiasLogSumExp(const float* bias, int n, float* x);

// The k largest of x [n], largest first; of equals the lower id first. Returns how many were found: min(k, n), less
// where x holds -inf, which is never chosen. best [k].
int TopK(const float* x, int n, int k, ScoredToken* best);

// What is known of a row's logits when some of their columns have been seen: their softmax's denominator is
// sum * e^top, and the best so far are sorted.
struct RowScan {
  float top = -std::numeric_limits<float>::infinity();
  double sum = 0;
  int found = 0;

  double LogSumExp() const { return top + std::log(sum); }
};

// Goes on with columns [first, first + n): x += bias (null: nothing) in place, and the k largest of all columns so far
// are in best [k] as TopK has them, by logit; k may be 0. Columns come in ascending order, each once.
void ScanColumns(const float* bias, int first, int n, int k, float* x, RowScan* scan, ScoredToken* best);

// x -= value, in place. x [n].
void SubtractFrom(float value, int n, float* x);

}  // namespace heed
