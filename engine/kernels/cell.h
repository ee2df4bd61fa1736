// Epilogues of recurrent cells: the gates' products are there (gemm.h), what is left is element-wise.
//
// Gate blocks in the order that heed/model/v1/model.proto gives: LSTM i, f, g, o; GRU r, z, n; SSRU f, x. Matrices are
// dense and row-major; a row's result depends on that row alone. Plain functions, thread-safe.
#pragma once

#include <span>

#include "engine/base/activation.h"

namespace heed {

// What is added to each row of a product: a row of its own (a tabulated embedding product, a precomputed input
// product), or one bias for all, or nothing.
struct Addend {
  const float* const* rows = nullptr;  // one pointer per row; wins over bias
  const float* bias = nullptr;
};

// What the gates and everything else go through: `sigmoid` and `tanh` below. The usual pair has kernels of its own.
struct CellFunctions {
  Activation gate = Activation::kSigmoid;
  Activation function = Activation::kTanh;
};

// Layer normalisation of an LSTM's c on its way to h: N(c) * scale + bias. scale [n]; null: none. bias [n] may be null.
// `carried`: that is what c becomes as well.
struct CellNorm {
  const float* scale = nullptr;
  const float* bias = nullptr;
  float epsilon = 0;
  bool carried = false;
};

// c = sigmoid(f) c_in + sigmoid(i) tanh(g); h = sigmoid(o) tanh(norm(c)). gates [rows, 4 n]; c_in, c, h [rows, n]; c
// may be c_in.
void LstmRows(CellFunctions functions, int rows, int n, const float* gates, Addend addend, const float* c_in,
              const CellNorm& norm, float* c, float* h);

// Reset after: u = tanh(x_n + r * (s_n + state_bias_n)); h = (1 - z) u + z h_in. x [rows, 3 n] may be null (the addend
// alone is the input's part); s = U h_in [rows, 3 n]; state_bias [3 n] may be null. h may be h_in.
void GruRows(CellFunctions functions, int rows, int n, const float* x, Addend addend, const float* s,
             const float* state_bias, const float* h_in, float* h);

// Reset before, first half: z and r * h_in from the r and z blocks of x [rows, 3 n] (or null) and s = U_rz h_in
// [rows, 2 n].
void GruGateRows(Activation gate, int rows, int n, const float* x, Addend addend, const float* s,
                 const float* state_bias, const float* h_in, float* z, float* reset_h);
// Second half: u = tanh(x_n + s_n + state_bias_n) with s_n = U_n (r * h_in) [rows, n]; h = (1 - z) u + z h_in.
void GruUpdateRows(Activation function, int rows, int n, const float* x, Addend addend, const float* s_n,
                   const float* state_bias_n, const float* z, const float* h_in, float* h);

// h = function(product + addend). product [rows, n]; h may be product.
void RnnRows(Activation function, int rows, int n, const float* product, Addend addend, float* h);

// f = sigmoid(product_f + addend_f); c = f c_in + (1 - f) (product_x + addend_x); h = function(c). product [rows, 2 n]
// may be null (the addend alone); c may be c_in (Kim et al. 2019).
void SsruRows(CellFunctions functions, int rows, int n, const float* product, Addend addend, const float* c_in,
              float* c, float* h);

// y = N(y + addend) * scale + bias in place, over each of a row's `groups` by itself (Ba et al. 2016): consecutive
// stretches of those lengths, n together. y [rows, n]; scale [n]; bias [n] may be null.
void CellNormRows(int rows, std::span<const int> groups, Addend addend, const float* scale, const float* bias,
                  float epsilon, float* y);

}  // namespace heed
