#include "engine/kernels/reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

namespace heed::reference {
namespace {

// Element i of row r of an addend; rows are `width` long.
double At(Addend addend, int r, int i) {
  if (addend.rows != nullptr) return addend.rows[r][i];
  return addend.bias == nullptr ? 0 : addend.bias[i];
}

double At(const float* p, std::size_t i) { return p == nullptr ? 0 : p[i]; }

double At(const MemoryRows& rows, int j, int i) {
  const std::size_t at = static_cast<std::size_t>(j) * rows.stride + i;
  if (rows.floats != nullptr) return rows.floats[at];
  return std::bit_cast<float>(static_cast<std::uint32_t>(rows.bfloat16[at]) << 16);
}

// Of element i of row r, rows `stride` long.
std::size_t Index(int r, int stride, int i) { return static_cast<std::size_t>(r) * stride + i; }

}  // namespace

void Gemm(int rows, int n, int k, const float* x, const float* w, float* y) {
  for (int r = 0; r < rows; ++r) {
    for (int o = 0; o < n; ++o) {
      double sum = 0;
      for (int i = 0; i < k; ++i) sum += double{x[r * k + i]} * w[o * k + i];
      y[r * n + o] = static_cast<float>(sum);
    }
  }
}

namespace {

// The one place where the reference rounds as the kernels do, in float: what is compared are whole numbers.
std::uint8_t Rounded(float x, float factor, int zero, int most) {
  return static_cast<std::uint8_t>(std::clamp(std::nearbyint(x * factor) + zero, 0.0f, static_cast<float>(most)));
}

}  // namespace

void QuantiseRows(int rows, int k, const float* x, int levels, const QuantisedRows& to) {
  for (int r = 0; r < rows; ++r) {
    const float* row = x + Index(r, k, 0);
    const float low = std::min(0.0f, *std::min_element(row, row + k));
    const float high = std::max(0.0f, *std::max_element(row, row + k));
    const bool something = high - low > 1e-30f;
    to.scale[r] = something ? (high - low) / static_cast<float>(levels) : 1;
    const float factor = something ? static_cast<float>(levels) / (high - low) : 0;
    to.zero[r] = static_cast<int>(std::nearbyint(-low * factor));
    for (int i = 0; i < k; ++i) to.q[Index(r, k, i)] = Rounded(row[i], factor, to.zero[r], levels);
  }
}

void QuantiseRowsBy(float scale, int most, int rows, int k, const float* x, const QuantisedRows& to) {
  for (int r = 0; r < rows; ++r) {
    to.scale[r] = scale;
    to.zero[r] = most;
    for (int i = 0; i < k; ++i) to.q[Index(r, k, i)] = Rounded(x[Index(r, k, i)], 1.0f / scale, most, 2 * most);
  }
}

void DequantiseRows(Activation f, int rows, int n, int stride, const SumScales& scales, const float* bias, float* y) {
  for (int r = 0; r < rows; ++r) {
    for (int j = 0; j < n; ++j) {
      const double b = bias == nullptr ? 0 : bias[j];
      if (scales.column_shift != nullptr) {
        const double sum = std::bit_cast<std::int32_t>(y[Index(r, stride, j)]);
        const double x = sum * scales.column_scale[j] + (b - scales.column_shift[j]);
        y[Index(r, stride, j)] = static_cast<float>(Activate(f, x));
        continue;
      }
      const double sum = static_cast<double>(std::bit_cast<std::int32_t>(y[Index(r, stride, j)])) -
                         static_cast<double>(scales.row_zero[r]) * scales.column_sum[j];
      const double x = sum * scales.row_scale[r] * scales.column_scale[j] + b;
      y[Index(r, stride, j)] = static_cast<float>(Activate(f, x));
    }
  }
}

// Of two neighbours as far from x the one whose last bit is 0.
float RoundedToBfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const float down = std::bit_cast<float>(bits & 0xFFFF0000u),
              up = std::bit_cast<float>((bits & 0xFFFF0000u) + 0x10000u);
  const double below = std::abs(static_cast<double>(x) - down), above = std::abs(static_cast<double>(up) - x);
  if (below != above) return below < above ? down : up;
  return (bits & 0x10000u) == 0 ? down : up;
}

double Activate(Activation f, double x) {
  switch (f) {
    case Activation::kIdentity:
      return x;
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kHardSigmoid:
      return std::clamp(0.2 * x + 0.5, 0.0, 1.0);
    case Activation::kHardSigmoidSixth:
      return std::clamp(x / 6 + 0.5, 0.0, 1.0);
  }
  return x;
}

void BiasActivateRows(Activation f, int rows, int n, const float* bias, float* y) {
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < n; ++i) y[r * n + i] = static_cast<float>(Activate(f, y[r * n + i] + At(bias, i)));
  }
}

void AddTo(int count, const float* x, float* y) {
  for (int i = 0; i < count; ++i) y[i] += x[i];
}

void MulTo(int count, const float* x, float* y) {
  for (int i = 0; i < count; ++i) y[i] *= x[i];
}

void Lerp(int count, const float* gate, const float* a, const float* b, float* y) {
  for (int i = 0; i < count; ++i) y[i] = (1 - gate[i]) * a[i] + gate[i] * b[i];
}

void LayerNormRows(int rows, int n, const float* x, const float* scale, const float* bias, float epsilon, float* y) {
  for (int r = 0; r < rows; ++r, x += n, y += n) {
    double mean = 0, variance = 0;
    for (int i = 0; i < n; ++i) mean += x[i];
    mean /= n;
    for (int i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
    variance /= n;
    for (int i = 0; i < n; ++i) {
      y[i] = static_cast<float>((x[i] - mean) / std::sqrt(variance + epsilon) * scale[i] + At(bias, i));
    }
  }
}

void MaxoutRows(int rows, int n, int group, const float* x, float* y) {
  for (int i = 0; i < rows * n; ++i) y[i] = *std::max_element(x + i * group, x + (i + 1) * group);
}

void MeanOfRows(int rows, int n, const float* x, float* y) {
  for (int i = 0; i < n; ++i) {
    double sum = 0;
    for (int r = 0; r < rows; ++r) sum += x[r * n + i];
    y[i] = static_cast<float>(sum / rows);
  }
}

void LstmRows(CellFunctions functions, int rows, int n, const float* gates, Addend addend, const float* c_in,
              const CellNorm& norm, float* c, float* h) {
  for (int r = 0; r < rows; ++r) {
    const auto sum = [&](int block, int i) { return gates[(r * 4 + block) * n + i] + At(addend, r, block * n + i); };
    const auto gate = [&](int block, int i) { return Activate(functions.gate, sum(block, i)); };
    for (int i = 0; i < n; ++i) {
      const double g = Activate(functions.function, sum(2, i));
      c[r * n + i] = static_cast<float>(gate(1, i) * c_in[r * n + i] + gate(0, i) * g);
    }
    std::vector<float> out(c + r * n, c + (r + 1) * n);
    if (norm.scale != nullptr) LayerNormRows(1, n, c + r * n, norm.scale, norm.bias, norm.epsilon, out.data());
    if (norm.carried) std::copy(out.begin(), out.end(), c + r * n);
    for (int i = 0; i < n; ++i) {
      h[r * n + i] = static_cast<float>(gate(3, i) * Activate(functions.function, out[i]));
    }
  }
}

void GruRows(CellFunctions functions, int rows, int n, const float* x, Addend addend, const float* s,
             const float* state_bias, const float* h_in, float* h) {
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < n; ++i) {
      const auto in = [&](int block) { return At(x, (row * 3 + block) * n + i) + At(addend, row, block * n + i); };
      const auto state = [&](int block) { return s[(row * 3 + block) * n + i] + At(state_bias, block * n + i); };
      const double r = Activate(functions.gate, in(0) + state(0)), z = Activate(functions.gate, in(1) + state(1));
      const double u = Activate(functions.function, in(2) + r * state(2));
      h[row * n + i] = static_cast<float>((1 - z) * u + z * h_in[row * n + i]);
    }
  }
}

void GruGateRows(Activation gate, int rows, int n, const float* x, Addend addend, const float* s,
                 const float* state_bias, const float* h_in, float* z, float* reset_h) {
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < n; ++i) {
      const auto sum = [&](int block) {
        return At(x, (row * 3 + block) * n + i) + At(addend, row, block * n + i) + s[(row * 2 + block) * n + i] +
               At(state_bias, block * n + i);
      };
      reset_h[row * n + i] = static_cast<float>(Activate(gate, sum(0)) * h_in[row * n + i]);
      z[row * n + i] = static_cast<float>(Activate(gate, sum(1)));
    }
  }
}

void GruUpdateRows(Activation function, int rows, int n, const float* x, Addend addend, const float* s_n,
                   const float* state_bias_n, const float* z, const float* h_in, float* h) {
  for (int row = 0; row < rows; ++row) {
    for (int i = 0; i < n; ++i) {
      const double u = Activate(
          function, At(x, (row * 3 + 2) * n + i) + At(addend, row, 2 * n + i) + s_n[row * n + i] + At(state_bias_n, i));
      const double keep = z[row * n + i];
      h[row * n + i] = static_cast<float>((1 - keep) * u + keep * h_in[row * n + i]);
    }
  }
}

void RnnRows(Activation function, int rows, int n, const float* product, Addend addend, float* h) {
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < n; ++i) {
      h[r * n + i] = static_cast<float>(Activate(function, product[r * n + i] + At(addend, r, i)));
    }
  }
}

void SsruRows(CellFunctions functions, int rows, int n, const float* product, Addend addend, const float* c_in,
              float* c, float* h) {
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < n; ++i) {
      const double f = Activate(functions.gate, At(product, 2 * r * n + i) + At(addend, r, i));
      const double x = At(product, (2 * r + 1) * n + i) + At(addend, r, n + i);
      const double next = f * c_in[r * n + i] + (1 - f) * x;
      c[r * n + i] = static_cast<float>(next);
      h[r * n + i] = static_cast<float>(Activate(functions.function, next));
    }
  }
}

void CellNormRows(int rows, std::span<const int> groups, Addend addend, const float* scale, const float* bias,
                  float epsilon, float* y) {
  for (int r = 0; r < rows; ++r) {
    int at = 0;
    for (const int n : groups) {
      for (int i = 0; i < n; ++i) y[i] += static_cast<float>(At(addend, r, at + i));
      LayerNormRows(1, n, y, scale + at, bias == nullptr ? nullptr : bias + at, epsilon, y);
      y += n;
      at += n;
    }
  }
}

void DotEnergies(const float* q, const MemoryRows& keys, int positions, int size, float scale, float* e) {
  for (int j = 0; j < positions; ++j) {
    double sum = 0;
    for (int i = 0; i < size; ++i) sum += double{q[i]} * At(keys, j, i);
    e[j] = static_cast<float>(scale * sum);
  }
}

void AdditiveEnergies(const float* q, const MemoryRows& keys, const float* v, float v_bias, int positions, int size,
                      float* e) {
  for (int j = 0; j < positions; ++j) {
    double sum = v_bias;
    for (int i = 0; i < size; ++i) sum += v[i] * std::tanh(double{q[i]} + At(keys, j, i));
    e[j] = static_cast<float>(sum);
  }
}

void CoverageEnergies(const float* q, const MemoryRows& keys, const float* v, float v_bias, const float* coverage,
                      const float* coverage_weight, int positions, int size, float* e) {
  for (int j = 0; j < positions; ++j) {
    double sum = v_bias;
    for (int i = 0; i < size; ++i) {
      sum += v[i] * std::tanh(double{q[i]} + At(keys, j, i) + double{coverage[j]} * coverage_weight[i]);
    }
    e[j] = static_cast<float>(sum);
  }
}

// Algorithm 1 of the paper.
void Sparsemax(const float* e, int n, float* w) {
  std::vector<double> sorted(e, e + n);
  std::sort(sorted.rbegin(), sorted.rend());
  double sum = 0, tau = 0;
  for (int k = 1; k <= n; ++k) {
    sum += sorted[k - 1];
    if (1 + k * sorted[k - 1] > sum) tau = (sum - 1) / k;
  }
  for (int j = 0; j < n; ++j) w[j] = static_cast<float>(std::max(e[j] - tau, 0.0));
}

void Softmax(const float* e, int n, float* w) {
  const double most = *std::max_element(e, e + n);
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += std::exp(e[i] - most);
  for (int i = 0; i < n; ++i) w[i] = static_cast<float>(std::exp(e[i] - most) / sum);
}

void WeightedSum(const float* w, const MemoryRows& values, int positions, int size, float* out) {
  for (int i = 0; i < size; ++i) {
    double sum = 0;
    for (int j = 0; j < positions; ++j) sum += double{w[j]} * At(values, j, i);
    out[i] = static_cast<float>(sum);
  }
}

void AttendHead(const HeadAttention& head) {
  std::vector<float> e(head.positions), w(head.positions);
  for (int i = 0; i < head.queries; ++i) {
    const float* q = head.q + static_cast<std::ptrdiff_t>(i) * head.stride;
    DotEnergies(q, {head.k, nullptr, head.stride}, head.positions, head.size, head.scale, e.data());
    Softmax(e.data(), head.positions, w.data());
    WeightedSum(w.data(), {head.v, nullptr, head.stride}, head.positions, head.size,
                head.out + static_cast<std::ptrdiff_t>(i) * head.out_stride);
  }
}

float BiasLogSumExp(const float* bias, int n, float* x) {
  double most = -INFINITY, sum = 0;
  for (int i = 0; i < n; ++i) {
    x[i] += static_cast<float>(At(bias, i));
    most = std::max<double>(most, x[i]);
  }
  for (int i = 0; i < n; ++i) sum += std::exp(x[i] - most);
  return static_cast<float>(most + std::log(sum));
}

int TopK(const float* x, int n, int k, ScoredToken* best) {
  std::vector<ScoredToken> all;
  for (int i = 0; i < n; ++i) {
    if (x[i] > -INFINITY) all.push_back({i, x[i]});
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.value > b.value; });
  const int found = std::min<int>(k, static_cast<int>(all.size()));
  std::copy_n(all.begin(), found, best);
  return found;
}

void MixCopies(const Copies& copies, float generate, float copy, int vocabulary, int own, float* x) {
  const double g = std::clamp<double>(generate, 0, 1), c = std::clamp<double>(copy, 0, 1);
  for (int id = 0; id < vocabulary + own; ++id) {
    double p = id < vocabulary ? g * std::exp(double{x[id]}) : 0;
    for (int j = 0; j < copies.positions; ++j) {
      if (copies.ids[j] == id) p += c * copies.weights[j];
    }
    x[id] = static_cast<float>(std::max<double>(std::log(p), kNoProbability));
  }
}

void ScanColumns(const float* bias, int first, int n, int k, float* x, RowScan* scan, ScoredToken* best) {
  for (int i = 0; i < n; ++i) {
    x[i] += static_cast<float>(At(bias, i));
    const float top = std::max(scan->top, x[i]);
    scan->sum = scan->sum * std::exp(static_cast<double>(scan->top) - top) + std::exp(static_cast<double>(x[i]) - top);
    scan->top = top;
    std::vector<ScoredToken> sorted(best, best + scan->found);
    const auto place = std::find_if(sorted.begin(), sorted.end(), [&](const ScoredToken& t) { return t.value < x[i]; });
    sorted.insert(place, {first + i, x[i]});
    scan->found = std::min(k, static_cast<int>(sorted.size()));
    std::copy_n(sorted.begin(), scan->found, best);
  }
}

void GatherProduct(GatheredRow* rows, int count, const GatheredMatrix& w) {
  for (int r = 0; r < count; ++r) {
    for (int i = 0; i < rows[r].count; ++i) {
      const TokenId id = rows[r].ids[i];
      std::vector<float> row(w.w->k()), x(w.w->k());
      w.w->Read(id, 1, row.data());
      for (int j = 0; j < w.w->k(); ++j) {
        x[j] = rows[r].q == nullptr ? rows[r].x[j] : rows[r].scale * static_cast<float>(rows[r].q[j] - rows[r].zero);
      }
      Gemm(1, 1, w.w->k(), x.data(), row.data(), rows[r].y + i);
      rows[r].y[i] += static_cast<float>(At(w.bias, id));
    }
    rows[r].done = rows[r].count;
  }
}

}  // namespace heed::reference
