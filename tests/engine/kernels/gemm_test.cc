// Products in every precision: as the plain reference has them, and the same bits whatever stands beside a row.
#include "engine/kernels/gemm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <tuple>
#include <vector>

#include "engine/kernels/gather.h"
#include "engine/kernels/reference.h"
#include "tests/engine/kernels/kernel_fixture.h"
#include "tests/support/precisions.h"

namespace heed {
namespace {

using ::testing::HasSubstr;

// A weight, its product ready, and room for rows.
struct Product {
  Product(const Packing& p, int rows, const Weight& weight) : max_rows(rows), packing(p) {
    auto packed = PackedMatrix::Pack(weight, packing).value();
    BufferMaker buffers(BufferMaker::Mode::kMake);
    scratch = GemmScratch::Make({packing}, rows, &buffers);
    gemm = Gemm::Make(std::move(packed), rows, &scratch).value();
    const std::size_t room = std::max(64, Gemm::PaddedRows(rows));
    x = Buffer(room * packing.k);
    y = Buffer(packing.streamed ? Gemm::StreamedFloats(packing.n, rows) : room * packing.n);
  }

  std::vector<float> Run(int rows, const float* from, const float* bias = nullptr,
                         Activation f = Activation::kIdentity) {
    std::memcpy(x.data(), from, sizeof(float) * rows * packing.k);
    gemm->Run(rows, x.data(), y.data(), bias, f);
    return {y.data(), y.data() + static_cast<std::size_t>(rows) * packing.n};
  }

  std::vector<float> RunStreamed(int rows, const float* from) {
    std::memcpy(x.data(), from, sizeof(float) * rows * packing.k);
    std::vector<float> all(static_cast<std::size_t>(rows) * packing.n);
    gemm->Prepare(rows, x.data());
    for (int block = 0; block < gemm->blocks(); ++block) {
      gemm->RunBlock(block, y.data());
      for (int r = 0; r < rows; ++r) {
        std::memcpy(&all[static_cast<std::size_t>(r) * packing.n + block * gemm->block_columns()],
                    y.data() + static_cast<std::size_t>(r) * gemm->block_columns(),
                    sizeof(float) * gemm->BlockSize(block));
      }
    }
    return all;
  }

  const int max_rows;
  const Packing packing;
  GemmScratch scratch;
  std::unique_ptr<Gemm> gemm;
  Buffer x, y;
};

// x and w as a precision rounds them, in float32: what the exact product is made of.
struct RoundedProduct {
  std::vector<float> x, w;
};
RoundedProduct Round(Precision precision, int rows, int n, int k, const std::vector<float>& x,
                     const std::vector<float>& w) {
  RoundedProduct rounded{x, w};
  if (precision == Precision::kBfloat16) {
    for (float& v : rounded.x) v = reference::RoundedToBfloat16(v);
    for (float& v : rounded.w) v = reference::RoundedToBfloat16(v);
  } else if (precision == Precision::kInt8) {
    std::vector<std::uint8_t> q(x.size());
    std::vector<float> scale(rows), column_scale(n);
    std::vector<std::int32_t> zero(rows);
    reference::QuantiseRows(rows, k, x.data(), Int8IsFine() ? kFineLevels : kCoarseLevels,
                            {q.data(), scale.data(), zero.data()});
    for (std::size_t i = 0; i < x.size(); ++i) rounded.x[i] = scale[i / k] * static_cast<float>(q[i] - zero[i / k]);
    std::vector<std::int8_t> numbers(w.size());
    QuantiseWeight(n, k, w.data(), numbers.data(), column_scale.data());
    for (std::size_t i = 0; i < w.size(); ++i) rounded.w[i] = column_scale[i / k] * numbers[i];
  }
  return rounded;
}

class GemmTest : public testing::TestWithParam<std::tuple<std::pair<int, int>, Precision>> {
 protected:
  static int k() { return std::get<0>(GetParam()).first; }
  static int n() { return std::get<0>(GetParam()).second; }
  static Precision precision() { return std::get<1>(GetParam()); }
};
// With AMX the small ones have another kernel at few rows (bfloat16).
INSTANTIATE_TEST_SUITE_P(Shapes, GemmTest,
                         testing::Combine(testing::Values(std::pair(1, 1), std::pair(3, 5), std::pair(17, 33),
                                                          std::pair(64, 48), std::pair(16, 256), std::pair(255, 97),
                                                          std::pair(768, 384), std::pair(192, 768),
                                                          std::pair(256, 1001)),
                                          testing::ValuesIn(Precisions())));

TEST_P(GemmTest, GivesEachRowTheSameBitsForEveryNumberOfRows) {
  constexpr int kMost = 150;  // past where AVX2 products go in parts
  std::mt19937 random(k() * 1000 + n());
  const std::vector<float> w = Random(random, static_cast<std::size_t>(n()) * k());
  const std::vector<float> rows = Random(random, static_cast<std::size_t>(kMost) * k());
  Product product({.n = n(), .k = k(), .precision = precision()}, kMost, {n(), k(), w.data()});
  const std::vector<float> full = product.Run(kMost, rows.data());
  const RoundedProduct rounded = Round(precision(), kMost, n(), k(), rows, w);
  std::vector<float> want(full.size());
  reference::Gemm(kMost, n(), k(), rounded.x.data(), rounded.w.data(), want.data());
  ExpectNear(full, want, 2e-6f * std::sqrt(static_cast<float>(k())) + 1e-6f);
  for (int m = 1; m < kMost; ++m) {
    ASSERT_EQ(std::memcmp(product.Run(m, rows.data()).data(), full.data(), sizeof(float) * m * n()), 0) << m << " rows";
  }
  // And wherever among the others the row stands.
  const std::vector<float> some = product.Run(7, rows.data() + static_cast<std::size_t>(63) * k());
  EXPECT_EQ(std::memcmp(some.data(), full.data() + static_cast<std::size_t>(63) * n(), sizeof(float) * 7 * n()), 0);
}

TEST_P(GemmTest, AddsTheBiasAndActivates) {
  std::mt19937 random(3);
  const std::vector<float> w = Random(random, static_cast<std::size_t>(n()) * k());
  const std::vector<float> rows = Random(random, static_cast<std::size_t>(5) * k()), bias = Random(random, n());
  Product product({.n = n(), .k = k(), .precision = precision()}, 5, {n(), k(), w.data()});
  const std::vector<float> plain = product.Run(5, rows.data());
  for (const Activation f : {Activation::kIdentity, Activation::kRelu, Activation::kTanh}) {
    std::vector<float> want = plain;
    reference::BiasActivateRows(f, 5, n(), bias.data(), want.data());
    ExpectNear(product.Run(5, rows.data(), bias.data(), f), want, 2e-6f);
  }
}

TEST(Gemm, GivesAStreamedWeightTheSameProductBlockByBlock) {
  std::mt19937 random(4);
  for (const Precision precision : Precisions()) {
    for (const int n : {1, 100, 2048, 2049, 5000}) {
      constexpr int kDepth = 96, kRows = 21;
      const std::vector<float> w = Random(random, static_cast<std::size_t>(n) * kDepth);
      const std::vector<float> rows = Random(random, static_cast<std::size_t>(kRows) * kDepth);
      Product whole({.n = n, .k = kDepth, .precision = precision}, kRows, {n, kDepth, w.data()});
      Product streamed({.n = n, .k = kDepth, .precision = precision, .streamed = true}, kRows, {n, kDepth, w.data()});
      const std::vector<float> want = whole.Run(kRows, rows.data()), got = streamed.RunStreamed(kRows, rows.data());
      ExpectNear(got, want, 1e-5f);
      for (int m = 1; m < kRows; ++m) {
        ASSERT_EQ(std::memcmp(streamed.RunStreamed(m, rows.data()).data(), got.data(), sizeof(float) * m * n), 0)
            << PrecisionName(precision) << ", " << n << " columns, " << m << " rows";
      }
    }
  }
}

// An int8 weight with scales of its own, as a bundle brings it.
struct Int8Weight {
  Int8Weight(std::mt19937& random, int n, int k, std::vector<float> activation_scales)
      : numbers(static_cast<std::size_t>(n) * k), scales(n) {
    for (auto& number : numbers) number = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
    for (float& scale : scales) scale = 0.001f * static_cast<float>(1 + random() % 20);
    weight = {n, k, nullptr, numbers.data(), scales.data(), std::move(activation_scales)};
  }
  std::vector<std::int8_t> numbers;
  std::vector<float> scales;
  Weight weight;
};

TEST(Gemm, MultipliesStoredInt8AsItIsWithAnActivationScaleForEachPart) {
  constexpr int kN = 96, kDepth = 65, kRows = 6;
  std::mt19937 random(5);
  for (const int parts : {1, 3}) {
    const std::vector<float> fixed = parts == 1 ? std::vector<float>{0.011f} : std::vector<float>{0.02f, 0.007f, 0.01f};
    const Int8Weight w(random, kN, kDepth, fixed);
    Product product({.n = kN, .k = kDepth, .precision = Precision::kInt8, .parts = parts}, kRows, w.weight);
    const std::vector<float> rows = Random(random, kRows * kDepth, 2);  // some beyond 127 * 0.011
    const std::vector<float> got = product.Run(kRows, rows.data());
    const int most = Int8IsFine() ? 127 : 63;
    std::vector<float> want(got.size());
    for (int r = 0; r < kRows; ++r) {
      for (int j = 0; j < kN; ++j) {
        const float scale = fixed[j / (kN / parts)] * (Int8IsFine() ? 1 : 2);
        int sum = 0, of_zero = 0;
        for (int i = 0; i < kDepth; ++i) {
          const int q = static_cast<int>(std::nearbyint(rows[r * kDepth + i] * (1.0f / scale)));
          sum += (std::clamp(q, -most, most) + most) * w.numbers[j * kDepth + i];
          of_zero += most * w.numbers[j * kDepth + i];
        }
        // As Marian rounds it, to the bit: with the zero in the sum, each step by itself.
        const float factor = scale * w.scales[j];
        volatile float product = static_cast<float>(sum) * factor, shift = static_cast<float>(of_zero) * factor;
        want[r * kN + j] = product - shift;
      }
    }
    EXPECT_EQ(got, want);
  }
}

TEST(Gemm, WidensStoredInt8WhereItIsNotMultipliedAsSuch) {
  constexpr int kN = 33, kDepth = 40;
  std::mt19937 random(6);
  const Int8Weight w(random, kN, kDepth, {});
  std::vector<float> floats(w.numbers.size());
  for (std::size_t i = 0; i < floats.size(); ++i) floats[i] = w.scales[i / kDepth] * w.numbers[i];
  const std::vector<float> rows = Random(random, kDepth);
  Product product({.n = kN, .k = kDepth}, 1, w.weight), plain({.n = kN, .k = kDepth}, 1, {kN, kDepth, floats.data()});
  EXPECT_EQ(product.Run(1, rows.data()), plain.Run(1, rows.data()));
}

// Every product at its largest: u8 at its top times s8 at its bottom and top.
TEST(Gemm, SumsOfInt8DoNotSaturate) {
  constexpr int kDepth = 512;
  for (const std::int8_t number : {std::int8_t{127}, std::int8_t{-128}}) {
    const std::vector<std::int8_t> numbers(kDepth, number);
    const float one = 1;
    Product product({.n = 1, .k = kDepth, .precision = Precision::kInt8}, 1,
                    {1, kDepth, nullptr, numbers.data(), &one, {}});
    const std::vector<float> x(kDepth, 255);
    EXPECT_NEAR(product.Run(1, x.data())[0], 255.0 * kDepth * number, 1e-6 * 255 * kDepth * 128);
  }
}

TEST(Gemm, ProductsTooDeepForInt8AreFloat32) {
  constexpr int kDepth = kMaxInt8Depth + 1;
  const std::vector<float> w(kDepth, 1), x(kDepth, 1.0f / 3);
  Product product({.n = 1, .k = kDepth, .precision = Precision::kInt8}, 1, {1, kDepth, w.data()});
  EXPECT_NEAR(product.Run(1, x.data())[0], kDepth / 3.0, 5);
}

TEST(CheckPrecision, NamesTheInstructionThatIsMissing) {
  EXPECT_TRUE(CheckPrecision(Precision::kFloat32).ok());
  EXPECT_TRUE(CheckPrecision(Precision::kInt8).ok());
  const absl::Status status = CheckPrecision(Precision::kBfloat16);
  if (status.ok()) {
    EXPECT_TRUE(Int8IsFine()) << "every machine with AVX512_BF16 has VNNI";
    return;
  }
  EXPECT_THAT(status.message(), HasSubstr("bfloat16 needs AVX512_BF16"));
  EXPECT_THAT(status.message(), HasSubstr(InstructionSet()));
}

}  // namespace
}  // namespace heed
