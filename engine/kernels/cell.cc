#include "engine/kernels/cell.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/cell.cc"
#include "hwy/foreach_target.h"
// After foreach_target, which decides for what each inclusion compiles.
#include "engine/kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

// p[i..] + q[i..], either of which may be null.
HWY_INLINE V Sum(const float* p, const float* q, std::size_t i, std::size_t left) {
  if (p == nullptr) return q == nullptr ? hn::Zero(D()) : LoadAt(q, i, left);
  const V x = LoadAt(p, i, left);
  return q == nullptr ? x : hn::Add(x, LoadAt(q, i, left));
}

HWY_INLINE const float* RowOf(Addend addend, int r) { return addend.rows != nullptr ? addend.rows[r] : addend.bias; }
HWY_INLINE const float* Block(const float* p, std::size_t offset) { return p == nullptr ? nullptr : p + offset; }

void LstmRows(int rows, int n, const float* gates, Addend addend, const float* c_in, float* c, float* h) {
  const std::size_t size = n, step = Width();
  for (int r = 0; r < rows; ++r, gates += 4 * size, c_in += size, c += size, h += size) {
    const float* add = RowOf(addend, r);
    for (std::size_t i = 0; i < size; i += step) {
      const std::size_t left = size - i;
      const V input = Sigmoid(Sum(gates, add, i, left));
      const V forget = Sigmoid(Sum(gates + size, Block(add, size), i, left));
      const V candidate = Tanh(Sum(gates + 2 * size, Block(add, 2 * size), i, left));
      const V output = Sigmoid(Sum(gates + 3 * size, Block(add, 3 * size), i, left));
      const V next = hn::MulAdd(forget, LoadAt(c_in, i, left), hn::Mul(input, candidate));
      StoreAt(next, c, i, left);
      StoreAt(hn::Mul(output, Tanh(next)), h, i, left);
    }
  }
}

// (1 - z) u + z h
HWY_INLINE V Update(V z, V u, V h) { return hn::MulAdd(z, hn::Sub(h, u), u); }

void GruRows(int rows, int n, const float* x, Addend addend, const float* s, const float* state_bias, const float* h_in,
             float* h) {
  const std::size_t size = n, step = Width();
  for (int row = 0; row < rows; ++row, s += 3 * size, h_in += size, h += size) {
    const float* add = RowOf(addend, row);
    const float* in = x == nullptr ? nullptr : x + row * 3 * size;
    for (std::size_t i = 0; i < size; i += step) {
      const std::size_t left = size - i;
      const V r = Sigmoid(hn::Add(Sum(in, add, i, left), Sum(s, state_bias, i, left)));
      const V z = Sigmoid(
          hn::Add(Sum(Block(in, size), Block(add, size), i, left), Sum(s + size, Block(state_bias, size), i, left)));
      const V state = Sum(s + 2 * size, Block(state_bias, 2 * size), i, left);
      const V u = Tanh(hn::MulAdd(r, state, Sum(Block(in, 2 * size), Block(add, 2 * size), i, left)));
      StoreAt(Update(z, u, LoadAt(h_in, i, left)), h, i, left);
    }
  }
}

void GruGateRows(int rows, int n, const float* x, Addend addend, const float* s, const float* state_bias,
                 const float* h_in, float* z, float* reset_h) {
  const std::size_t size = n, step = Width();
  for (int row = 0; row < rows; ++row, s += 2 * size, h_in += size, z += size, reset_h += size) {
    const float* add = RowOf(addend, row);
    const float* in = x == nullptr ? nullptr : x + row * 3 * size;
    for (std::size_t i = 0; i < size; i += step) {
      const std::size_t left = size - i;
      const V r = Sigmoid(hn::Add(Sum(in, add, i, left), Sum(s, state_bias, i, left)));
      StoreAt(hn::Mul(r, LoadAt(h_in, i, left)), reset_h, i, left);
      StoreAt(Sigmoid(hn::Add(Sum(Block(in, size), Block(add, size), i, left),
                              Sum(s + size, Block(state_bias, size), i, left))),
              z, i, left);
    }
  }
}

void GruUpdateRows(int rows, int n, const float* x, Addend addend, const float* s_n, const float* state_bias_n,
                   const float* z, const float* h_in, float* h) {
  const std::size_t size = n, step = Width();
  for (int row = 0; row < rows; ++row, s_n += size, z += size, h_in += size, h += size) {
    const float* add = Block(RowOf(addend, row), 2 * size);
    const float* in = x == nullptr ? nullptr : x + (row * 3 + 2) * size;
    for (std::size_t i = 0; i < size; i += step) {
      const std::size_t left = size - i;
      const V u = Tanh(hn::Add(Sum(in, add, i, left), Sum(s_n, state_bias_n, i, left)));
      StoreAt(Update(LoadAt(z, i, left), u, LoadAt(h_in, i, left)), h, i, left);
    }
  }
}

void RnnRows(Activation f, int rows, int n, const float* product, Addend addend, float* h) {
  const std::size_t size = n, step = Width();
  for (int r = 0; r < rows; ++r, product += size, h += size) {
    const float* add = RowOf(addend, r);
    for (std::size_t i = 0; i < size; i += step) {
      StoreAt(Activate(f, Sum(product, add, i, size - i)), h, i, size - i);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed {

HWY_EXPORT(LstmRows);
HWY_EXPORT(GruRows);
HWY_EXPORT(GruGateRows);
HWY_EXPORT(GruUpdateRows);
HWY_EXPORT(RnnRows);

void LstmRows(int rows, int n, const float* gates, Addend addend, const float* c_in, float* c, float* h) {
  HWY_DYNAMIC_DISPATCH(LstmRows)(rows, n, gates, addend, c_in, c, h);
}
void GruRows(int rows, int n, const float* x, Addend addend, const float* s, const float* state_bias, const float* h_in,
             float* h) {
  HWY_DYNAMIC_DISPATCH(GruRows)(rows, n, x, addend, s, state_bias, h_in, h);
}
void GruGateRows(int rows, int n, const float* x, Addend addend, const float* s, const float* state_bias,
                 const float* h_in, float* z, float* reset_h) {
  HWY_DYNAMIC_DISPATCH(GruGateRows)(rows, n, x, addend, s, state_bias, h_in, z, reset_h);
}
void GruUpdateRows(int rows, int n, const float* x, Addend addend, const float* s_n, const float* state_bias_n,
                   const float* z, const float* h_in, float* h) {
  HWY_DYNAMIC_DISPATCH(GruUpdateRows)(rows, n, x, addend, s_n, state_bias_n, z, h_in, h);
}
void RnnRows(Activation f, int rows, int n, const float* product, Addend addend, float* h) {
  HWY_DYNAMIC_DISPATCH(RnnRows)(f, rows, n, product, addend, h);
}

}  // namespace heed
#endif
