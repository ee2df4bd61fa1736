// Rounding to 8 and 16 bits, tables of rounded rows, and products with some of their rows.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "engine/kernels/reference.h"
#include "engine/kernels/row_table.h"
#include "tests/engine/kernels/kernel_fixture.h"

namespace heed {
namespace {

const int kDepths[] = {1, 2, 7, 15, 16, 17, 31, 33, 64, 100, 257};
constexpr Precision kPrecisions[] = {Precision::kFloat32, Precision::kBfloat16, Precision::kInt8};

INSTANTIATE_TEST_SUITE_P(Targets, KernelTest, testing::ValuesIn(Targets()),
                         [](const auto& info) { return std::string(hwy::TargetName(info.param)); });

struct Rows {
  Rows(int rows, int k) : q(static_cast<std::size_t>(rows) * k), scale(rows), zero(rows) {}
  QuantisedRows to() { return {q.data(), scale.data(), zero.data()}; }
  bool operator==(const Rows&) const = default;
  std::vector<std::uint8_t> q;
  std::vector<float> scale;
  std::vector<std::int32_t> zero;
};

TEST_P(KernelTest, RowsAreRoundedAsTheReferenceDoes) {
  constexpr int kRows = 6;
  std::mt19937 random(1);
  for (const int k : kDepths) {
    std::vector<float> x = Random(random, static_cast<std::size_t>(kRows) * k, 3);
    for (int i = 0; i < k; ++i) {
      x[i] = std::abs(x[i]);  // as a relu leaves it
      x[k + i] = 0;
      x[2 * k + i] *= 1e-35f;  // next to nothing
      x[3 * k + i] = -std::abs(x[3 * k + i]);
      x[4 * k + i] *= 1e30f;
    }
    for (const int levels : {kFineLevels, kCoarseLevels}) {
      Rows got(kRows, k), want(kRows, k);
      QuantiseRows(kRows, k, x.data(), levels, got.to());
      reference::QuantiseRows(kRows, k, x.data(), levels, want.to());
      ASSERT_EQ(got, want) << k;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t r = i / k;
        EXPECT_LE(got.q[i], levels);
        const float back = got.scale[r] * static_cast<float>(got.q[i] - got.zero[r]);
        if (r == 2) continue;
        EXPECT_NEAR(back, x[i], 1.01f * got.scale[r]);
      }
    }
    for (const int most : {127, 63}) {
      Rows got(kRows, k), want(kRows, k);
      QuantiseRowsBy(0.013f, most, kRows, k, x.data(), got.to());
      reference::QuantiseRowsBy(0.013f, most, kRows, k, x.data(), want.to());
      ASSERT_EQ(got, want) << k;
    }
  }
}

TEST_P(KernelTest, SumsBecomeResultsAsInTheReference) {
  constexpr int kRows = 3, kStride = 300;
  std::mt19937 random(2);
  for (const int n : kDepths) {
    const std::vector<float> row_scale = {0.5f, 0.01f, 3}, column_scale = Random(random, n), bias = Random(random, n);
    const std::vector<std::int32_t> row_zero = {0, 255, 131};
    std::vector<std::int32_t> sums(n);
    for (auto& sum : sums) sum = static_cast<std::int32_t>(random() % 20001) - 10000;
    const SumScales scales{row_scale.data(), row_zero.data(), column_scale.data(), sums.data()};
    for (const Activation f : {Activation::kIdentity, Activation::kRelu, Activation::kSigmoid}) {
      for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
        std::vector<float> got(kRows * kStride);
        for (float& v : got) v = std::bit_cast<float>(static_cast<std::int32_t>(random() % 4000001) - 2000000);
        std::vector<float> want = got;
        DequantiseRows(f, kRows, n, kStride, scales, b, got.data());
        reference::DequantiseRows(f, kRows, n, kStride, scales, b, want.data());
        for (int r = 0; r < kRows; ++r) {
          for (int i = 0; i < n; ++i) {
            const float expected = want[r * kStride + i];
            ASSERT_NEAR(got[r * kStride + i], expected, 1e-6f * std::max(1.0f, std::abs(expected)));
          }
          // What lies behind is another block's.
          ASSERT_EQ(std::memcmp(&got[r * kStride + n], &want[r * kStride + n], sizeof(float) * (kStride - n)), 0);
        }
      }
    }
  }
}

// To the bit: what is rounded to int8 next may fall either way by the last of them.
TEST_P(KernelTest, ShiftedSumsBecomeResultsInMariansOrder) {
  constexpr int kRows = 2, kStride = 300;
  std::mt19937 random(3);
  for (const int n : kDepths) {
    const std::vector<float> scale = Random(random, n, 0.001f), shift = Random(random, n, 40), bias = Random(random, n);
    SumScales scales;
    scales.column_scale = scale.data();
    scales.column_shift = shift.data();
    for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
      std::vector<float> got(kRows * kStride);
      for (float& v : got) v = std::bit_cast<float>(static_cast<std::int32_t>(random() % 4000001) - 2000000);
      const std::vector<float> sums = got;
      std::vector<float> want = got;
      DequantiseRows(Activation::kIdentity, kRows, n, kStride, scales, b, got.data());
      reference::DequantiseRows(Activation::kIdentity, kRows, n, kStride, scales, b, want.data());
      for (int r = 0; r < kRows; ++r) {
        for (int i = 0; i < n; ++i) {
          const std::size_t at = static_cast<std::size_t>(r) * kStride + i;
          // Through memory, so that nothing is fused.
          volatile float product = static_cast<float>(std::bit_cast<std::int32_t>(sums[at]));
          product = product * scale[i];
          volatile float added = b == nullptr ? 0.0f : b[i];
          added = added - shift[i];
          ASSERT_EQ(got[at], product + added) << n << " " << i;
          ASSERT_NEAR(got[at], want[at], 1e-3f);
        }
      }
    }
  }
}

TEST_P(KernelTest, Bfloat16IsRoundedHalfToEven) {
  std::mt19937 random(3);
  for (const int n : kDepths) {
    std::vector<float> x = Random(random, n, 100);
    x[0] = std::bit_cast<float>(0x3F808000u);             // half way, below even
    if (n > 1) x[1] = std::bit_cast<float>(0x3F818000u);  // half way, below odd
    if (n > 2) x[2] = -0.0f;
    std::vector<std::uint16_t> rounded(n);
    ToBfloat16(n, x.data(), rounded.data());
    std::vector<float> back(n);
    FromBfloat16(1, n, rounded.data(), back.data());
    for (int i = 0; i < n; ++i) ASSERT_EQ(back[i], reference::RoundedToBfloat16(x[i])) << x[i];
  }
}

TEST_P(KernelTest, TablesGiveTheirRowsBack) {
  std::mt19937 random(4);
  for (const int k : kDepths) {
    constexpr int kRows = 5;
    const std::vector<float> w = Random(random, static_cast<std::size_t>(kRows) * k);
    for (const Precision precision : kPrecisions) {
      const RowTable table({kRows, k, w.data()}, precision);
      const float tolerance = precision == Precision::kFloat32 ? 0 : precision == Precision::kInt8 ? 0.0041f : 0.004f;
      for (int row = 0; row < kRows; ++row) {
        std::vector<float> y(k);
        table.Read(row, 2, y.data());
        for (int i = 0; i < k; ++i) ASSERT_NEAR(y[i], 2 * w[row * k + i], 2 * tolerance) << PrecisionName(precision);
      }
    }
  }
}

TEST_P(KernelTest, TablesOfStoredInt8GiveTheirRowsBackInEveryPrecision) {
  constexpr int kRows = 3, kDepth = 33;
  std::mt19937 random(5);
  std::vector<std::int8_t> numbers(kRows * kDepth);
  for (auto& number : numbers) number = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
  const std::vector<float> scales = {0.5f, 0.25f, 2};  // exact in bfloat16 too, as numbers of 8 bits are
  for (const Precision precision : kPrecisions) {
    const RowTable table({kRows, kDepth, nullptr, numbers.data(), scales.data(), {}}, precision);
    for (int row = 0; row < kRows; ++row) {
      std::vector<float> y(kDepth);
      table.Read(row, 1, y.data());
      for (int i = 0; i < kDepth; ++i) ASSERT_EQ(y[i], scales[row] * numbers[row * kDepth + i]);
    }
  }
}

// And an element's bits are the same whatever is computed beside it.
TEST_P(KernelTest, GatheredProductsAgreeWithTheReferenceWhateverStandsBesideThem) {
  std::mt19937 random(16);
  for (const auto& [n, k] : {std::pair(1, 1), std::pair(9, 7), std::pair(40, 33), std::pair(3000, 129)}) {
    const std::vector<float> w = Random(random, static_cast<std::size_t>(n) * k), bias = Random(random, n);
    constexpr int kRows = 5;
    const std::vector<float> x = Random(random, static_cast<std::size_t>(kRows) * k);
    Rows rounded(kRows, k);
    QuantiseRows(kRows, k, x.data(), kFineLevels, rounded.to());
    for (const Precision precision : kPrecisions) {
      const RowTable table({n, k, w.data()}, precision);
      const bool int8 = precision == Precision::kInt8;
      for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
        const GatheredMatrix matrix{&table, b};
        std::vector<std::vector<TokenId>> ids(kRows);
        std::vector<std::vector<float>> got(kRows), want(kRows);
        std::vector<GatheredRow> rows, plain;
        const auto row_of = [&, k = k](int r, const TokenId* list, int count, float* y) {
          const std::size_t at = static_cast<std::size_t>(r) * k;
          return GatheredRow{&x[at], int8 ? &rounded.q[at] : nullptr, rounded.scale[r], rounded.zero[r], list, count,
                             y};
        };
        for (int r = 0; r < kRows; ++r) {
          for (TokenId id = 0; id < n; ++id) {
            if (random() % (r + 1) == 0) ids[r].push_back(id);
          }
          got[r].resize(ids[r].size());
          want[r].resize(ids[r].size());
          const int count = static_cast<int>(ids[r].size());
          rows.push_back(row_of(r, ids[r].data(), count, got[r].data()));
          plain.push_back(row_of(r, ids[r].data(), count, want[r].data()));
        }
        GatherProduct(rows.data(), kRows, matrix);
        reference::GatherProduct(plain.data(), kRows, matrix);
        for (int r = 0; r < kRows; ++r) {
          ExpectNear(got[r], want[r], 1e-5f);
          for (std::size_t i = 0; i < ids[r].size(); ++i) {
            float alone = 0;
            GatheredRow row = row_of(r, &ids[r][i], 1, &alone);
            GatherProduct(&row, 1, matrix);
            ASSERT_EQ(alone, got[r][i]) << n << " x " << k << ", row " << r << ", id " << ids[r][i];
          }
        }
      }
    }
  }
}

TEST_P(KernelTest, ScannedColumnsAgreeWithTheReferenceHoweverTheyAreCut) {
  std::mt19937 random(7);
  for (const int n : {1, 5, 64, 1000, 4097}) {
    std::vector<float> logits = Random(random, n, 12);
    if (n > 40) logits[33] = logits[40] = 11.9f;  // equals: the lower id first
    const std::vector<float> bias = Random(random, n);
    for (const int k : {1, 2, 10}) {
      RowScan want;
      std::vector<ScoredToken> expected(k);
      std::vector<float> plain = logits;
      reference::ScanColumns(bias.data(), 0, n, k, plain.data(), &want, expected.data());
      for (const int width : {n, 1 + n / 3, 64}) {
        RowScan got;
        std::vector<ScoredToken> best(k);
        std::vector<float> x = logits;
        for (int first = 0; first < n; first += width) {
          ScanColumns(&bias[first], first, std::min(width, n - first), k, &x[first], &got, best.data());
        }
        ASSERT_EQ(got.found, std::min(n, k));
        EXPECT_NEAR(got.LogSumExp(), want.LogSumExp(), 3e-7 * std::max(1.0, std::abs(want.LogSumExp())));
        for (int c = 0; c < got.found; ++c) {
          EXPECT_EQ(best[c].token, expected[c].token) << n << ", " << width;
          EXPECT_EQ(best[c].value, expected[c].value);
        }
      }
    }
  }
}

}  // namespace
}  // namespace heed
