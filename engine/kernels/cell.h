// Epilogues of recurrent cells: the gates' products are there (gemm.h), what is left is element-wise.
//
// Gate blocks in the order that heed/model/v1/model.proto gives: LSTM i, f, g, o; GRU r, z, n. Matrices are dense and
// row-major; a row's result depends on that row alone. Plain functions, thread-safe.
#pragma once

#include "engine/base/activation.h"

namespace heed {

// What is added to each row of a product: a row of its own (a tabulated embedding product, a precomputed input
// product), or one bias for all, or nothing.
struct Addend {
  const float* const* rows = nullptr;  // one pointer per row; wins over bias
  const float* bias = nullptr;
};

// c = sigmoid(f) c_in + sigmoid(i) tanh(g); h = sigmoid(o) tanh(c). gates [rows, 4 n]; c_in, c, h [rows, n]; c may be
// c_in.
void LstmRows(int rows, int n, const float* gates, Addend addend, const float* c_in, float* c, float* h);

// Reset after: u = tanh(x_n + r * (s_n + state_bias_n)); h = (1 - z) u + z h_in. x [rows, 3 n] may be null (the addend
// alone is the input's part); s = U h_in [rows, 3 n]; state_bias [3 n] may be null. h may be h_in.
void GruRows(int rows, int n, const float* x, Addend addend, const float* s, const float* state_bias, const float* h_in,
             float* h);

// Reset before, first half: z and r * h_in from the r and z blocks of x [rows, 3 n] (or null) and s = U_rz h_in
// [rows, 2 n].
void GruGateRows(int rows, int n, const float* x, Addend addend, const float* s, const float* state_bias,
                 const float* h_in, float* z, float* reset_h);
// Second half: u = tanh(x_n + s_n + state_bias_n) with s_n = U_n (r * h_in) [rows, n]; h = (1 - z) u + z h_in.
void GruUpdateRows(int rows, int n, const float* x, Addend addend, const float* s_n, const float* state_bias_n,
                   const float* z, const float* h_in, float* h);

// h = f(product + addend). product [rows, n]; h may be product.
void RnnRows(Activation f, int rows, int n, const float* product, Addend addend, float* h);

}  // namespace heed
