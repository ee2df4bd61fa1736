// Row-wise vector operations: bias, activation, sums, products, layer normalisation, maxout, means.
//
// All matrices are dense and row-major; a row's result depends on that row alone. Outputs may be inputs of the same
// call where the names say in place, otherwise they must not overlap. Plain functions, thread-safe.
#pragma once

#include "engine/base/activation.h"

namespace heed {

// y = f(y + bias), in place; bias [n] may be null. y [rows, n].
void BiasActivateRows(Activation f, int rows, int n, const float* bias, float* y);

// y += x, in place. [count] each.
void AddTo(int count, const float* x, float* y);

// y *= x, in place. [count] each.
void MulTo(int count, const float* x, float* y);

// y = (1 - gate) * a + gate * b. [count] each.
void Lerp(int count, const float* gate, const float* a, const float* b, float* y);

// y = (x - mean) / sqrt(variance + epsilon) * scale + bias over each row, variance biased (Ba et al. 2016). bias may be
// null. x, y [rows, n]; y may be x.
void LayerNormRows(int rows, int n, const float* x, const float* scale, const float* bias, float epsilon, float* y);

// y[i] = max of x[i * group .. i * group + group). x [rows, n * group], y [rows, n].
void MaxoutRows(int rows, int n, int group, const float* x, float* y);

// y [n] = mean over the rows of x [rows, n].
void MeanOfRows(int rows, int n, const float* x, float* y);

}  // namespace heed
