// How fast the kernels are, and what bounds them: google-benchmark's program, one thread.
//
//   kernel_bench                                        # everything: some five minutes
//   kernel_bench --benchmark_filter='^product/int8'     # oneDNN's product alone
//   kernel_bench --benchmark_filter='^gemm/int8'        # heed's: rounding in, the product, scaling out
//   kernel_bench --step=1536x1536,640x384 --step_rows=8 --step_precision=int8 --benchmark_filter='^step'
//
// Names are WHAT/PRECISION/KxN/ROWS for products. Weights of product and gemm are cold: as many copies are walked as
// fill twice the last cache. `step` does the products of one decoder step, in order, again and again: with a model's
// own weights, as decoding has them, or with --step_cold copies of all of them. Counters: G/s are 10^9 multiplications
// and additions a second, GB/s of weights read.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <dnnl.hpp>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/bare_product.h"
#include "engine/base/precision.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/gemm.h"
#include "engine/kernels/output.h"
#include "engine/kernels/quantise.h"

ABSL_FLAG(std::string, step, "", "products of one step, KxN by commas; empty: no benchmark of a step");
ABSL_FLAG(int, step_rows, 1, "rows of a step");
ABSL_FLAG(std::string, step_precision, "float32", "float32, bfloat16 or int8");
ABSL_FLAG(bool, step_cold, false, "walk copies of the step's weights that fill twice the last cache");

namespace heed {
namespace {

constexpr Precision kPrecisions[] = {Precision::kFloat32, Precision::kBfloat16, Precision::kInt8};
// Of recurrent cells, output layers, the base student and GNMT.
constexpr ProductShape kShapes[] = {{512, 512},   {512, 1536},  {768, 1536}, {512, 2048},  {2048, 512},
                                    {1024, 2048}, {3072, 4096}, {512, 8000}, {512, 32000}, {1024, 32000}};
constexpr int kRows[] = {1, 8, 64};

std::size_t LastCacheBytes() {
  const long bytes = std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), sysconf(_SC_LEVEL2_CACHE_SIZE));
  return bytes > 0 ? static_cast<std::size_t>(bytes) : std::size_t{64} << 20;
}

std::size_t CopiesFor(std::size_t bytes) { return 1 + 2 * LastCacheBytes() / std::max<std::size_t>(bytes, 1); }

void Count(benchmark::State& state, double operations, double bytes) {
  const auto all = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["G/s"] = benchmark::Counter(operations / 1e9, all);
  state.counters["GB/s"] = benchmark::Counter(bytes / 1e9, all);
}

// As many as --step or the cold walk need; empty, with the reason said, where there is no such product here.
std::vector<BareProduct> Products(benchmark::State& state, const std::vector<ProductShape>& shapes, int rows,
                                  Precision precision, bool cold) {
  std::vector<BareProduct> products;
  std::size_t bytes = 0, copies = 1;
  try {
    for (std::size_t copy = 0; copy < copies; ++copy) {
      for (const ProductShape shape : shapes) {
        products.emplace_back(shape, rows, precision);
        if (copy == 0) bytes += products.back().weight_bytes();
      }
      if (cold) copies = CopiesFor(bytes);
    }
  } catch (const dnnl::error& error) {
    products.clear();
    state.SkipWithError(error.what());
  }
  return products;
}

// One benchmark iteration does all of `shapes` once.
void Walk(benchmark::State& state, const std::vector<ProductShape>& shapes, int rows, Precision precision, bool cold) {
  std::vector<BareProduct> products = Products(state, shapes, rows, precision, cold);
  if (products.empty()) return;
  double operations = 0, bytes = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    operations += 2.0 * rows * shapes[i].k * shapes[i].n;
    bytes += static_cast<double>(products[i].weight_bytes());
  }
  state.SetLabel(products.back().implementation());
  for (BareProduct& product : products) product.Run();
  std::size_t next = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < shapes.size(); ++i) products[next++].Run();
    if (next == products.size()) next = 0;
  }
  Count(state, operations, bytes);
}

// heed's own product: x rounded, multiplied, the sums scaled and the bias added.
void WalkGemm(benchmark::State& state, ProductShape shape, int rows, Precision precision) {
  const Packing packing = {.n = shape.n, .k = shape.k, .precision = precision};
  if (const auto status = CheckPrecision(precision); !status.ok()) {
    return state.SkipWithError(std::string(status.message()).c_str());
  }
  Buffer weight(static_cast<std::size_t>(shape.n) * shape.k), bias(shape.n);
  for (std::size_t i = 0; i < weight.size(); ++i) weight.data()[i] = 0.01f * static_cast<float>(i % 199) - 1;
  // Room for what a call may read and write beyond its rows.
  const std::size_t room = std::max(Gemm::PaddedRows(rows), 64);
  Buffer x(room * shape.k), y(room * shape.n);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = 0.01f * static_cast<float>(i % 173) - 0.8f;
  BufferMaker maker(BufferMaker::Mode::kMake);
  GemmScratch scratch = GemmScratch::Make({packing}, rows, &maker);
  std::vector<std::unique_ptr<Gemm>> gemms;
  std::size_t copies = 1;
  double bytes = 0;
  for (std::size_t i = 0; i < copies; ++i) {
    const auto packed = PackedMatrix::Pack({.n = shape.n, .k = shape.k, .floats = weight.data()}, packing);
    if (!packed.ok()) return state.SkipWithError(std::string(packed.status().message()).c_str());
    bytes = static_cast<double>((*packed)->bytes());
    copies = CopiesFor((*packed)->bytes());
    gemms.push_back(Gemm::Make(*packed, rows, &scratch).value());
  }
  std::size_t next = 0;
  for (auto _ : state) {
    gemms[next]->Run(rows, x.data(), y.data(), bias.data());
    next = next + 1 == gemms.size() ? 0 : next + 1;
  }
  Count(state, 2.0 * rows * shape.k * shape.n, bytes);
}

std::vector<float> Numbers(std::size_t count) {
  std::vector<float> numbers(count);
  std::uint32_t state = 1;
  for (float& x : numbers) {
    state = state * 1664525 + 1013904223;
    x = static_cast<float>(state >> 8) / static_cast<float>(1 << 23) - 1;
  }
  return numbers;
}

// Rows of a source's memory in either form, and what they are made of.
struct Memory {
  std::vector<float> floats;
  std::vector<std::uint16_t> bfloat16;
  MemoryRows rows;
};

Memory MakeMemory(int positions, int size, Precision precision) {
  Memory memory = {.floats = Numbers(static_cast<std::size_t>(positions) * size)};
  memory.rows = {.floats = memory.floats.data(), .stride = size};
  if (precision == Precision::kFloat32) return memory;
  memory.bfloat16.resize(memory.floats.size());
  ToBfloat16(static_cast<std::int64_t>(memory.floats.size()), memory.floats.data(), memory.bfloat16.data());
  memory.rows = {.bfloat16 = memory.bfloat16.data(), .stride = size};
  return memory;
}

struct AttentionShape {
  int positions = 0, size = 0, heads = 1;  // size: of all heads together
  bool additive = false;
};

// A whole attention of one query: energies, softmax, context.
void Attention(benchmark::State& state, AttentionShape shape, Precision precision) {
  const int positions = shape.positions, head = shape.size / shape.heads;
  const Memory keys = MakeMemory(positions, shape.size, precision),
               values = MakeMemory(positions, shape.size, precision);
  const std::vector<float> query = Numbers(shape.size);
  std::vector<float> energies(positions), context(shape.size);
  for (auto _ : state) {
    for (int at = 0; at < shape.size; at += head) {
      if (shape.additive) {
        AdditiveEnergies(query.data(), keys.rows, query.data(), 0, positions, head, energies.data());
      } else {
        DotEnergies(query.data() + at, keys.rows.From(at), positions, head, 0.1f, energies.data());
      }
      Softmax(energies.data(), positions, energies.data());
      WeightedSum(energies.data(), values.rows.From(at), positions, head, context.data() + at);
    }
    benchmark::DoNotOptimize(context.data());
  }
  const double bytes = (precision == Precision::kFloat32 ? 8.0 : 4.0) * positions * shape.size;
  state.counters["GB/s"] = benchmark::Counter(bytes / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

void SoftmaxOf(benchmark::State& state, int n) {
  const std::vector<float> energies = Numbers(n);
  std::vector<float> weights(n);
  for (auto _ : state) {
    Softmax(energies.data(), n, weights.data());
    benchmark::DoNotOptimize(weights.data());
  }
}

void LogSumExp(benchmark::State& state, int n) {
  std::vector<float> logits = Numbers(n);
  const std::vector<float> bias(n);
  for (auto _ : state) benchmark::DoNotOptimize(BiasLogSumExp(bias.data(), n, logits.data()));
}

void Best(benchmark::State& state, int n, int k) {
  const std::vector<float> logits = Numbers(n);
  std::vector<ScoredToken> best(k);
  for (auto _ : state) benchmark::DoNotOptimize(TopK(logits.data(), n, k, best.data()));
}

// Bias, log-sum-exp and the best k in one pass, by columns that are in the cache.
void Scan(benchmark::State& state, int n, int k) {
  std::vector<float> logits = Numbers(n);
  const std::vector<float> bias(n);
  std::vector<ScoredToken> best(k);
  constexpr int columns = 1024;  // about a block of a streamed product
  for (auto _ : state) {
    RowScan scan;
    for (int first = 0; first < n; first += columns) {
      ScanColumns(bias.data() + first, first, std::min(columns, n - first), k, logits.data() + first, &scan,
                  best.data());
    }
    benchmark::DoNotOptimize(scan.LogSumExp());
  }
}

void RegisterKernels() {
  for (const int positions : {10, 27, 100}) {
    const std::pair<const char*, AttentionShape> kinds[] = {{"general/384", {positions, 384, 1, false}},
                                                            {"additive/1024", {positions, 1024, 1, true}},
                                                            {"8 heads/512", {positions, 512, 8, false}}};
    for (const auto& [kind, shape] : kinds) {
      for (const Precision memory : {Precision::kFloat32, Precision::kBfloat16}) {
        const std::string name =
            absl::StrCat("attention/", std::string(PrecisionName(memory)), "/", kind, "/", positions);
        benchmark::RegisterBenchmark(name.c_str(), Attention, shape, memory);
      }
    }
    benchmark::RegisterBenchmark(absl::StrCat("softmax/", positions).c_str(), SoftmaxOf, positions);
  }
  for (const int n : {5000, 32000}) {
    benchmark::RegisterBenchmark(absl::StrCat("log_sum_exp/", n).c_str(), LogSumExp, n);
    for (const int k : {1, 10, 20}) {
      benchmark::RegisterBenchmark(absl::StrCat("top_k/", n, "/", k).c_str(), Best, n, k);
      benchmark::RegisterBenchmark(absl::StrCat("scan/", n, "/", k).c_str(), Scan, n, k);
    }
  }
}

void RegisterProducts() {
  for (const Precision precision : kPrecisions) {
    for (const ProductShape shape : kShapes) {
      for (const int rows : kRows) {
        const std::string which =
            absl::StrCat(std::string(PrecisionName(precision)), "/", shape.k, "x", shape.n, "/", rows);
        benchmark::RegisterBenchmark(absl::StrCat("product/", which).c_str(), Walk, std::vector<ProductShape>{shape},
                                     rows, precision, true);
        benchmark::RegisterBenchmark(absl::StrCat("gemm/", which).c_str(), WalkGemm, shape, rows, precision);
      }
    }
  }
}

// False, with a line said, where a flag is wrong.
bool RegisterStep() {
  std::vector<ProductShape> shapes;
  for (const auto part : absl::StrSplit(absl::GetFlag(FLAGS_step), ',', absl::SkipEmpty())) {
    const std::vector<std::string> sizes = absl::StrSplit(part, 'x');
    ProductShape shape;
    if (sizes.size() != 2 || !absl::SimpleAtoi(sizes[0], &shape.k) || !absl::SimpleAtoi(sizes[1], &shape.n) ||
        shape.k < 1 || shape.n < 1) {
      std::cerr << "--step: '" << part << "' is no KxN, two numbers from 1\n";
      return false;
    }
    shapes.push_back(shape);
  }
  if (shapes.empty()) return true;
  const auto precision = PrecisionNamed(absl::GetFlag(FLAGS_step_precision));
  const int rows = absl::GetFlag(FLAGS_step_rows);
  if (!precision || rows < 1) {
    std::cerr << (precision ? "--step_rows: expected at least 1\n"
                            : "--step_precision: expected float32, bfloat16 or int8\n");
    return false;
  }
  const std::string name = absl::StrCat("step/", std::string(PrecisionName(*precision)), "/", rows);
  benchmark::RegisterBenchmark(name.c_str(), Walk, shapes, rows, *precision, absl::GetFlag(FLAGS_step_cold));
  return true;
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  absl::ParseCommandLine(argc, argv);
  if (!RegisterStep()) return 2;
  RegisterKernels();
  RegisterProducts();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace heed

int main(int argc, char** argv) { return heed::Main(argc, argv); }
