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

// The functions that nearly every cell has, known to the compiler; Chosen are any.
struct Usual {
  HWY_INLINE V Gate(V x) const { return Sigmoid(x); }
  HWY_INLINE V Function(V x) const { return Tanh(x); }
};
struct Chosen {
  CellFunctions functions;
  HWY_INLINE V Gate(V x) const { return Activate(functions.gate, x); }
  HWY_INLINE V Function(V x) const { return Activate(functions.function, x); }
};

// f of Usual() or Chosen(functions).
template <typename F>
HWY_INLINE void WithFunctions(CellFunctions functions, F f) {
  if (functions.gate == Activation::kSigmoid && functions.function == Activation::kTanh) {
    f(Usual());
  } else {
    f(Chosen{functions});
  }
}

// h holds the output gate: h *= function(norm(c)).
template <typename Functions>
HWY_INLINE void NormedOutput(const Functions& f, std::size_t size, const CellNorm& norm, float* c, float* h) {
  const Moments moments = MomentsOf(c, size, norm.epsilon);
  for (std::size_t i = 0; i < size; i += Width()) {
    const std::size_t left = size - i;
    const V next = Normalised(moments, LoadAt(c, i, left), norm.scale, norm.bias, i, left);
    StoreAt(hn::Mul(LoadAt(h, i, left), f.Function(next)), h, i, left);
    if (norm.carried) StoreAt(next, c, i, left);
  }
}

template <typename Functions>
void LstmWith(const Functions& f, int rows, int n, const float* gates, Addend addend, const float* c_in,
              const CellNorm& norm, float* c, float* h) {
  const std::size_t size = n, step = Width();
  const bool normed = norm.scale != nullptr;
  for (int r = 0; r < rows; ++r, gates += 4 * size, c_in += size, c += size, h += size) {
    const float* add = RowOf(addend, r);
    for (std::size_t i = 0; i < size; i += step) {
      const std::size_t left = size - i;
      const V input = f.Gate(Sum(gates, add, i, left));
      const V forget = f.Gate(Sum(gates + size, Block(add, size), i, left));
      const V candidate = f.Function(Sum(gates + 2 * size, Block(add, 2 * size), i, left));
      const V output = f.Gate(Sum(gates + 3 * size, Block(add, 3 * size), i, left));
      const V next = hn::MulAdd(forget, LoadAt(c_in, i, left), hn::Mul(input, candidate));
      StoreAt(next, c, i, left);
      StoreAt(normed ? output : hn::Mul(output, f.Function(next)), h, i, left);
    }
    if (normed) NormedOutput(f, size, norm, c, h);
  }
}

void LstmRows(CellFunctions functions, int rows, int n, const float* gates, Addend addend, const float* c_in,
              const CellNorm& norm, float* c, float* h) {
  WithFunctions(functions, [&](const auto& f) { LstmWith(f, rows, n, gates, addend, c_in, norm, c, h); });
}

// (1 - z) u + z h
HWY_INLINE V Update(V z, V u, V h) { return hn::MulAdd(z, hn::Sub(h, u), u); }

template <typename Functions>
void GruWith(const Functions& f, int rows, int n, const float* x, Addend addend, const float* s,
             const float* state_bias, const float* h_in, float* h) {
  const std::size_t size = n, step = Width();
  for (int row = 0; row < rows; ++row, s += 3 * size, h_in += size, h += size) {
    const float* add = RowOf(addend, row);
    const float* in = x == nullptr ? nullptr : x + row * 3 * size;
    for (std::size_t i = 0; i < size; i += step) {
      const std::size_t left = size - i;
      const V r = f.Gate(hn::Add(Sum(in, add, i, left), Sum(s, state_bias, i, left)));
      const V z = f.Gate(
          hn::Add(Sum(Block(in, size), Block(add, size), i, left), Sum(s + size, Block(state_bias, size), i, left)));
      const V state = Sum(s + 2 * size, Block(state_bias, 2 * size), i, left);
      const V u = f.Function(hn::MulAdd(r, state, Sum(Block(in, 2 * size), Block(add, 2 * size), i, left)));
      StoreAt(Update(z, u, LoadAt(h_in, i, left)), h, i, left);
    }
  }
}

void GruRows(CellFunctions functions, int rows, int n, const float* x, Addend addend, const float* s,
             const float* state_bias, const float* h_in, float* h) {
  WithFunctions(functions, [&](const auto& f) { GruWith(f, rows, n, x, addend, s, state_bias, h_in, h); });
}

void GruGateRows(Activation gate, int rows, int n, const float* x, Addend addend, const float* s,
                 const float* state_bias, const float* h_in, float* z, float* reset_h) {
  const std::size_t size = n, step = Width();
  for (int row = 0; row < rows; ++row, s += 2 * size, h_in += size, z += size, reset_h += size) {
    const float* add = RowOf(addend, row);
    const float* in = x == nullptr ? nullptr : x + row * 3 * size;
    for (std::size_t i = 0; i < size; i += step) {
      const std::size_t left = size - i;
      const V r = Activate(gate, hn::Add(Sum(in, add, i, left), Sum(s, state_bias, i, left)));
      StoreAt(hn::Mul(r, LoadAt(h_in, i, left)), reset_h, i, left);
      const V update =
          hn::Add(Sum(Block(in, size), Block(add, size), i, left), Sum(s + size, Block(state_bias, size), i, left));
      StoreAt(Activate(gate, update), z, i, left);
    }
  }
}

void GruUpdateRows(Activation function, int rows, int n, const float* x, Addend addend, const float* s_n,
                   const float* state_bias_n, const float* z, const float* h_in, float* h) {
  const std::size_t size = n, step = Width();
  for (int row = 0; row < rows; ++row, s_n += size, z += size, h_in += size, h += size) {
    const float* add = Block(RowOf(addend, row), 2 * size);
    const float* in = x == nullptr ? nullptr : x + (row * 3 + 2) * size;
    for (std::size_t i = 0; i < size; i += step) {
      const std::size_t left = size - i;
      const V u = Activate(function, hn::Add(Sum(in, add, i, left), Sum(s_n, state_bias_n, i, left)));
      StoreAt(Update(LoadAt(z, i, left), u, LoadAt(h_in, i, left)), h, i, left);
    }
  }
}

void RnnRows(Activation function, int rows, int n, const float* product, Addend addend, float* h) {
  const std::size_t size = n, step = Width();
  for (int r = 0; r < rows; ++r, product += size, h += size) {
    const float* add = RowOf(addend, r);
    for (std::size_t i = 0; i < size; i += step) {
      StoreAt(Activate(function, Sum(product, add, i, size - i)), h, i, size - i);
    }
  }
}

void SsruRows(CellFunctions functions, int rows, int n, const float* product, Addend addend, const float* c_in,
              float* c, float* h) {
  const std::size_t size = n, step = Width();
  for (int r = 0; r < rows; ++r, c_in += size, c += size, h += size) {
    const float* add = RowOf(addend, r);
    const float* in = product == nullptr ? nullptr : product + r * 2 * size;
    for (std::size_t i = 0; i < size; i += step) {
      const std::size_t left = size - i;
      const V forget = Activate(functions.gate, Sum(in, add, i, left));
      const V x = Sum(Block(in, size), Block(add, size), i, left);
      const V next = Update(forget, x, LoadAt(c_in, i, left));
      StoreAt(next, c, i, left);
      StoreAt(Activate(functions.function, next), h, i, left);
    }
  }
}

void CellNormRows(int rows, std::span<const int> groups, Addend addend, const float* scale, const float* bias,
                  float epsilon, float* y) {
  const std::size_t step = Width();
  for (int r = 0; r < rows; ++r) {
    const float* add = RowOf(addend, r);
    std::size_t at = 0;  // of the group in its row
    for (const int group : groups) {
      const std::size_t size = group;
      for (std::size_t i = 0; add != nullptr && i < size; i += step) {
        StoreAt(Sum(y, add + at, i, size - i), y, i, size - i);
      }
      const Moments moments = MomentsOf(y, size, epsilon);
      for (std::size_t i = 0; i < size; i += step) {
        const std::size_t left = size - i;
        StoreAt(Normalised(moments, LoadAt(y, i, left), scale + at, Block(bias, at), i, left), y, i, left);
      }
      y += size;
      at += size;
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
HWY_EXPORT(SsruRows);
HWY_EXPORT(CellNormRows);

void LstmRows(CellFunctions functions, int rows, int n, const float* gates, Addend addend, const float* c_in,
              const CellNorm& norm, float* c, float* h) {
  HWY_DYNAMIC_DISPATCH(LstmRows)(functions, rows, n, gates, addend, c_in, norm, c, h);
}
void GruRows(CellFunctions functions, int rows, int n, const float* x, Addend addend, const float* s,
             const float* state_bias, const float* h_in, float* h) {
  HWY_DYNAMIC_DISPATCH(GruRows)(functions, rows, n, x, addend, s, state_bias, h_in, h);
}
void GruGateRows(Activation gate, int rows, int n, const float* x, Addend addend, const float* s,
                 const float* state_bias, const float* h_in, float* z, float* reset_h) {
  HWY_DYNAMIC_DISPATCH(GruGateRows)(gate, rows, n, x, addend, s, state_bias, h_in, z, reset_h);
}
void GruUpdateRows(Activation function, int rows, int n, const float* x, Addend addend, const float* s_n,
                   const float* state_bias_n, const float* z, const float* h_in, float* h) {
  HWY_DYNAMIC_DISPATCH(GruUpdateRows)(function, rows, n, x, addend, s_n, state_bias_n, z, h_in, h);
}
void RnnRows(Activation function, int rows, int n, const float* product, Addend addend, float* h) {
  HWY_DYNAMIC_DISPATCH(RnnRows)(function, rows, n, product, addend, h);
}
void SsruRows(CellFunctions functions, int rows, int n, const float* product, Addend addend, const float* c_in,
              float* c, float* h) {
  HWY_DYNAMIC_DISPATCH(SsruRows)(functions, rows, n, product, addend, c_in, c, h);
}
void CellNormRows(int rows, std::span<const int> groups, Addend addend, const float* scale, const float* bias,
                  float epsilon, float* y) {
  HWY_DYNAMIC_DISPATCH(CellNormRows)(rows, groups, addend, scale, bias, epsilon, y);
}

}  // namespace heed
#endif
