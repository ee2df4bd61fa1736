// From logits to what search needs: log-sum-exp and the best few.
//
// A row's result depends on that row alone. Plain functions, thread-safe.
#pragma once

#include "engine/base/types.h"

namespace heed {

// Stands for the logarithm of 0 where a finite number is needed: below any log-probability that a model gives.
inline constexpr float kNoProbability = -1e4f;

// x += bias (null: nothing) in place, and returns log(sum of e^x). x [n], n at least 1.
float BiasLogSumExp(const float* bias, int n, float* x);

// The k largest of x [n], largest first; of equals the lower id first. Returns how many were found: min(k, n), less
// where x holds -inf, which is never chosen. best [k].
int TopK(const float* x, int n, int k, ScoredToken* best);

// x -= value, in place. x [n].
void SubtractFrom(float value, int n, float* x);

}  // namespace heed
