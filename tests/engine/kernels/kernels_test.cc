// Every fast kernel against its plain reference, odd sizes included; products and rounding have tests of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "engine/kernels/position.h"
#include "engine/kernels/reference.h"
#include "tests/engine/kernels/kernel_fixture.h"

namespace heed {
namespace {

// Around vector widths and past them.
const int kSizes[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 48, 64, 65, 100, 257};

INSTANTIATE_TEST_SUITE_P(Targets, KernelTest, testing::ValuesIn(Targets()),
                         [](const auto& info) { return std::string(hwy::TargetName(info.param)); });

constexpr Activation kActivations[] = {Activation::kIdentity, Activation::kTanh,        Activation::kSigmoid,
                                       Activation::kRelu,     Activation::kHardSigmoid, Activation::kHardSigmoidSixth};

TEST_P(KernelTest, ElementwiseAgreesWithTheReference) {
  std::mt19937 random(1);
  for (const int n : kSizes) {
    constexpr int kRows = 3;
    const std::vector<float> x = Random(random, n * kRows, 4), other = Random(random, n * kRows, 4);
    const std::vector<float> bias = Random(random, n), gate = Random(random, n * kRows);
    for (const Activation f : kActivations) {
      for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
        std::vector<float> got = x, want = x;
        BiasActivateRows(f, kRows, n, b, got.data());
        reference::BiasActivateRows(f, kRows, n, b, want.data());
        ExpectNear(got, want, 1e-6f);
      }
    }
    std::vector<float> got = x, want = x;
    AddTo(n * kRows, other.data(), got.data());
    reference::AddTo(n * kRows, other.data(), want.data());
    EXPECT_EQ(got, want);
    MulTo(n * kRows, other.data(), got.data());
    reference::MulTo(n * kRows, other.data(), want.data());
    EXPECT_EQ(got, want);
    Lerp(n * kRows, gate.data(), x.data(), other.data(), got.data());
    reference::Lerp(n * kRows, gate.data(), x.data(), other.data(), want.data());
    ExpectNear(got, want, 1e-6f);
    LayerNormRows(kRows, n, x.data(), other.data(), bias.data(), 1e-5f, got.data());
    reference::LayerNormRows(kRows, n, x.data(), other.data(), bias.data(), 1e-5f, want.data());
    ExpectNear(got, want, 1e-5f);
    std::vector<float> mean(n), mean_want(n);
    MeanOfRows(kRows, n, x.data(), mean.data());
    reference::MeanOfRows(kRows, n, x.data(), mean_want.data());
    ExpectNear(mean, mean_want, 1e-6f);
    const std::vector<float> wide = Random(random, n * 3 * kRows);
    MaxoutRows(kRows, n, 3, wide.data(), got.data());
    reference::MaxoutRows(kRows, n, 3, wide.data(), want.data());
    EXPECT_EQ(got, want);
  }
}

TEST_P(KernelTest, ActivationsSaturateWithoutNaNs) {
  std::vector<float> x = {-1e30f, -1000, -100, 0, 100, 1000, 1e30f, std::numeric_limits<float>::infinity()};
  for (const Activation f : {Activation::kTanh, Activation::kSigmoid}) {
    std::vector<float> y = x;
    BiasActivateRows(f, 1, static_cast<int>(y.size()), nullptr, y.data());
    const float low = f == Activation::kTanh ? -1 : 0;
    EXPECT_THAT(y, testing::Pointwise(testing::FloatNear(1e-7f),
                                      {low, low, low, f == Activation::kTanh ? 0 : 0.5f, 1.0f, 1.0f, 1.0f, 1.0f}));
  }
}

// Two functions go by one name: Keras 3 and PyTorch have another slope than Keras 1 and 2.
TEST_P(KernelTest, HardSigmoidsAreThoseOfTheirToolkits) {
  const std::vector<float> x = {-4, -3, -2.5f, -1, 0, 1, 2.5f, 3, 4};
  std::vector<float> keras = x, pytorch = x;
  BiasActivateRows(Activation::kHardSigmoid, 1, static_cast<int>(x.size()), nullptr, keras.data());
  BiasActivateRows(Activation::kHardSigmoidSixth, 1, static_cast<int>(x.size()), nullptr, pytorch.data());
  EXPECT_THAT(keras,
              testing::Pointwise(testing::FloatNear(1e-7f), {0.0f, 0.0f, 0.0f, 0.3f, 0.5f, 0.7f, 1.0f, 1.0f, 1.0f}));
  EXPECT_THAT(pytorch, testing::Pointwise(testing::FloatNear(1e-7f),
                                          {0.0f, 0.0f, 0.5f / 6, 1.0f / 3, 0.5f, 2.0f / 3, 5.5f / 6, 1.0f, 1.0f}));
}

// The usual functions, and others.
const CellFunctions kFunctions[] = {{},
                                    {Activation::kHardSigmoid, Activation::kTanh},
                                    {Activation::kSigmoid, Activation::kRelu},
                                    {Activation::kHardSigmoid, Activation::kIdentity},
                                    {Activation::kHardSigmoidSixth, Activation::kTanh}};

// Every way that a cell's input part may come: a row per row, one bias, or none.
TEST_P(KernelTest, CellsAgreeWithTheReference) {
  std::mt19937 random(2);
  for (const int n : kSizes) {
    constexpr int kRows = 5;
    const std::vector<float> gates = Random(random, 4 * n * kRows, 3), s = Random(random, 3 * n * kRows, 3);
    const std::vector<float> state = Random(random, n * kRows), c = Random(random, n * kRows);
    const std::vector<float> bias = Random(random, 4 * n), table = Random(random, 4 * n * 9);
    std::vector<const float*> rows;
    for (int r = 0; r < kRows; ++r) rows.push_back(&table[random() % 9 * 3 * n]);
    std::vector<float> h(n * kRows), h_want(n * kRows), c_got(n * kRows), c_want(n * kRows);
    for (const Addend addend : {Addend{rows.data(), nullptr}, Addend{nullptr, bias.data()}, Addend{}}) {
      for (const CellFunctions f : kFunctions) {
        LstmRows(f, kRows, n, gates.data(), addend, c.data(), {}, c_got.data(), h.data());
        reference::LstmRows(f, kRows, n, gates.data(), addend, c.data(), {}, c_want.data(), h_want.data());
        ExpectNear(h, h_want, 2e-6f);
        ExpectNear(c_got, c_want, 2e-6f);
        for (const float* x : {gates.data(), static_cast<const float*>(nullptr)}) {
          SsruRows(f, kRows, n, x, addend, c.data(), c_got.data(), h.data());
          reference::SsruRows(f, kRows, n, x, addend, c.data(), c_want.data(), h_want.data());
          ExpectNear(h, h_want, 2e-6f);
          ExpectNear(c_got, c_want, 2e-6f);
          for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
            GruRows(f, kRows, n, x, addend, s.data(), b, state.data(), h.data());
            reference::GruRows(f, kRows, n, x, addend, s.data(), b, state.data(), h_want.data());
            ExpectNear(h, h_want, 3e-6f);
            std::vector<float> z(n * kRows), z_want(n * kRows);
            GruGateRows(f.gate, kRows, n, x, addend, s.data(), b, state.data(), z.data(), h.data());
            reference::GruGateRows(f.gate, kRows, n, x, addend, s.data(), b, state.data(), z_want.data(),
                                   h_want.data());
            ExpectNear(h, h_want, 2e-6f);
            ExpectNear(z, z_want, 2e-6f);
            GruUpdateRows(f.function, kRows, n, x, addend, s.data(), b, z.data(), state.data(), h.data());
            reference::GruUpdateRows(f.function, kRows, n, x, addend, s.data(), b, z.data(), state.data(),
                                     h_want.data());
            ExpectNear(h, h_want, 3e-6f);
          }
        }
      }
      for (const Activation f : kActivations) {
        RnnRows(f, kRows, n, gates.data(), addend, h.data());
        reference::RnnRows(f, kRows, n, gates.data(), addend, h_want.data());
        ExpectNear(h, h_want, 2e-6f);
      }
    }
  }
}

TEST_P(KernelTest, NormsInsideCellsAgreeWithTheReference) {
  std::mt19937 random(12);
  for (const int n : kSizes) {
    constexpr int kRows = 5;
    const std::vector<float> y = Random(random, 4 * n * kRows, 3), table = Random(random, 4 * n * 9);
    const std::vector<float> scale = Random(random, 4 * n), bias = Random(random, 4 * n), c = Random(random, n * kRows);
    std::vector<const float*> rows;
    for (int r = 0; r < kRows; ++r) rows.push_back(&table[random() % 9 * 4 * n]);
    for (const Addend addend : {Addend{rows.data(), nullptr}, Addend{nullptr, bias.data()}, Addend{}}) {
      for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
        for (const std::vector<int>& groups : {std::vector{4 * n}, std::vector{n, n, n, n}, std::vector{3 * n, n}}) {
          std::vector<float> got = y, want = y;
          CellNormRows(kRows, groups, addend, scale.data(), b, 1e-5f, got.data());
          reference::CellNormRows(kRows, groups, addend, scale.data(), b, 1e-5f, want.data());
          ExpectNear(got, want, 1e-5f);
        }
        for (const CellFunctions f : kFunctions) {
          const CellNorm norm{scale.data(), b, 1e-3f, /*carried=*/b == nullptr};
          std::vector<float> h(n * kRows), h_want(n * kRows), c_got = c, c_want = c;
          LstmRows(f, kRows, n, y.data(), addend, c_got.data(), norm, c_got.data(), h.data());
          reference::LstmRows(f, kRows, n, y.data(), addend, c_want.data(), norm, c_want.data(), h_want.data());
          ExpectNear(c_got, c_want, norm.carried ? 5e-6f : 2e-6f);
          ExpectNear(h, h_want, 5e-6f);
        }
      }
    }
  }
}

TEST_P(KernelTest, SelfAttentionAgreesWithTheReferenceAndGivesEachQueryTheSameBits) {
  std::mt19937 random(13);
  for (const int positions : {1, 2, 4, 15, 16, 17, 32, 33, 70}) {
    for (const int size : kSizes) {
      const int stride = 3 * size + 5, out_stride = size + 2;
      const std::vector<float> qkv = Random(random, static_cast<std::size_t>(positions) * stride);
      Buffer scratch(SelfAttentionScratch(positions, size));
      std::vector<float> got(static_cast<std::size_t>(positions) * out_stride), want = got, again = got;
      HeadAttention head{.q = qkv.data(),
                         .k = qkv.data() + size,
                         .v = qkv.data() + 2 * size,
                         .queries = positions,
                         .positions = positions,
                         .size = size,
                         .stride = stride,
                         .scale = 1.3f,
                         .out = want.data(),
                         .out_stride = out_stride,
                         .scratch = scratch.data()};
      reference::AttendHead(head);
      head.out = got.data();
      AttendHead(head);
      ExpectNear(got, want, 1e-5f);
      for (int i = 0; i < positions; i += 3) {
        HeadAttention part = head;
        part.q += static_cast<std::ptrdiff_t>(i) * stride;
        part.queries = std::min(3, positions - i);
        part.out = again.data() + static_cast<std::ptrdiff_t>(i) * out_stride;
        AttendHead(part);
      }
      EXPECT_EQ(again, got);
    }
  }
}

TEST(SinusoidsTest, AreAsTheFormulaSays) {
  for (const int n : {4, 6, 10, 512}) {
    for (const int p : {0, 1, 2, 77, 5000}) {
      std::vector<float> got(n);
      Sinusoids(p, n, got.data());
      const int t = n / 2;
      for (int c = 0; c < n; ++c) {
        const double shift = c < t ? 0 : M_PI / 2;
        const double want = std::sin(p * std::pow(10000.0, -static_cast<double>(c % t) / (t - 1)) + shift);
        ASSERT_NEAR(got[c], want, 1e-7) << "column " << c << " of position " << p;
      }
    }
  }
}

// The same rows as a job keeps them: in float32 and in bfloat16.
struct Memory {
  Memory(const std::vector<float>& rows, int stride) : half(rows.size()) {
    ToBfloat16(static_cast<std::int64_t>(rows.size()), rows.data(), half.data());
    forms[0] = {rows.data(), nullptr, stride};
    forms[1] = {nullptr, half.data(), stride};
  }
  std::vector<std::uint16_t> half;
  MemoryRows forms[2];
};

TEST_P(KernelTest, AttentionAgreesWithTheReference) {
  std::mt19937 random(3);
  for (const int positions : {1, 2, 15, 16, 17, 50}) {
    for (const int size : kSizes) {
      const int stride = size + 3;
      const std::vector<float> q = Random(random, size), v = Random(random, size);
      const std::vector<float> rows = Random(random, static_cast<std::size_t>(positions) * stride);
      const Memory memory(rows, stride);
      for (const MemoryRows& keys : memory.forms) {
        std::vector<float> e(positions), e_want(positions), w(positions), w_want(positions), out(size), out_want(size);
        DotEnergies(q.data(), keys, positions, size, 0.7f, e.data());
        reference::DotEnergies(q.data(), keys, positions, size, 0.7f, e_want.data());
        ExpectNear(e, e_want, 1e-5f);
        for (int j = 0; j < positions; ++j) {  // a position's bits are its own
          float alone = 0;
          const int at = j * stride;
          DotEnergies(q.data(), keys.From(at), 1, size, 0.7f, &alone);
          ASSERT_EQ(alone, e[j]);
        }
        AdditiveEnergies(q.data(), keys, v.data(), 0.2f, positions, size, e.data());
        reference::AdditiveEnergies(q.data(), keys, v.data(), 0.2f, positions, size, e_want.data());
        ExpectNear(e, e_want, 1e-5f);
        for (float& x : e) x *= 5;
        Softmax(e.data(), positions, w.data());
        reference::Softmax(e.data(), positions, w_want.data());
        ExpectNear(w, w_want, 1e-6f);
        WeightedSum(w.data(), keys, positions, size, out.data());
        reference::WeightedSum(w.data(), keys, positions, size, out_want.data());
        ExpectNear(out, out_want, 1e-5f);
      }
    }
  }
}

TEST_P(KernelTest, CoverageEnergiesAgreeWithTheReference) {
  std::mt19937 random(13);
  for (const int positions : {1, 2, 17}) {
    for (const int size : kSizes) {
      const int stride = size + 3;
      const std::vector<float> q = Random(random, size), v = Random(random, size), c = Random(random, size);
      const std::vector<float> rows = Random(random, static_cast<std::size_t>(positions) * stride);
      const std::vector<float> coverage = Random(random, positions, 3);
      const Memory memory(rows, stride);
      for (const MemoryRows& keys : memory.forms) {
        std::vector<float> e(positions), want(positions);
        CoverageEnergies(q.data(), keys, v.data(), 0.2f, coverage.data(), c.data(), positions, size, e.data());
        reference::CoverageEnergies(q.data(), keys, v.data(), 0.2f, coverage.data(), c.data(), positions, size,
                                    want.data());
        ExpectNear(e, want, 1e-5f);
      }
    }
  }
}

TEST_P(KernelTest, SparsemaxAgreesWithTheReference) {
  std::mt19937 random(14);
  for (const int n : {1, 2, 3, 7, 50, 513}) {
    for (const float scale : {0.001f, 0.3f, 4.0f, 1e6f}) {
      const std::vector<float> e = Random(random, n, scale);
      std::vector<float> w(n), want(n);
      Sparsemax(e.data(), n, w.data());
      reference::Sparsemax(e.data(), n, want.data());
      ExpectNear(w, want, 1e-6f);
    }
  }
  // Equals share; what is far below gets exactly nothing.
  const std::vector<float> e = {1e30f, -1e30f, 1e30f, 0};
  std::vector<float> w(4);
  Sparsemax(e.data(), 4, w.data());
  EXPECT_THAT(w, testing::ElementsAre(0.5f, 0, 0.5f, 0));
}

TEST_P(KernelTest, MixedCopiesAgreeWithTheReferenceAndStayFinite) {
  std::mt19937 random(15);
  for (const int vocabulary : {1, 3, 16, 33, 500}) {
    for (const int positions : {1, 2, 9, 40}) {
      for (const float generate : {0.0f, 1e-30f, 0.3f, 1.0f, 1.5f}) {
        const int own = 1 + positions / 2;
        std::vector<float> x = Random(random, vocabulary + own, 20), weights = Random(random, positions);
        for (float& v : x) v = std::min(v, 0.0f);
        x[0] = -std::numeric_limits<float>::infinity();
        for (float& w : weights) w = std::max(w, 0.0f) * 0.1f;  // about half are exactly 0
        std::vector<TokenId> ids(positions);
        for (TokenId& id : ids) id = static_cast<TokenId>(random() % (vocabulary + own));
        std::vector<int> order(positions);
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return ids[a] < ids[b]; });
        const Copies copies{positions, weights.data(), ids.data(), order.data()};
        std::vector<float> want = x;
        MixCopies(copies, generate, 1 - generate, vocabulary, own, x.data());
        reference::MixCopies(copies, generate, 1 - generate, vocabulary, own, want.data());
        ExpectNear(x, want, 1e-6f);
        for (const float v : x) EXPECT_GE(v, kNoProbability);
      }
    }
  }
}

TEST(CopiedPartOf, SaysHowMuchOfATokenIsCopiedAndFromWhere) {
  const float weights[] = {0.2f, 0.1f, 0.3f, 0.4f};
  const TokenId ids[] = {5, 6, 5, 9};
  const Copies copies{4, weights, ids, nullptr};
  CopiedPart part = CopiedPartOf(copies, 0.5f, 5, std::log(0.75f));
  EXPECT_NEAR(part.share, 0.5 * 0.5 / 0.75, 1e-6);
  EXPECT_EQ(part.position, 2);
  part = CopiedPartOf(copies, 0.5f, 7, std::log(0.75f));
  EXPECT_EQ(part.share, 0);
  EXPECT_EQ(part.position, -1);
  EXPECT_EQ(CopiedPartOf(copies, 1, 9, std::log(0.4f) - 1e-4f).share, 1) << "never above 1";
  EXPECT_EQ(CopiedPartOf(copies, 0, 9, kNoProbability).share, 0);
}

TEST_P(KernelTest, SoftmaxHoldsAtExtremeEnergies) {
  std::vector<float> e = {-1e30f, 3e4f, 3e4f, -5}, w(4);
  Softmax(e.data(), 4, w.data());
  EXPECT_THAT(w, testing::Pointwise(testing::FloatNear(1e-6f), {0.0f, 0.5f, 0.5f, 0.0f}));
}

TEST_P(KernelTest, OutputAgreesWithTheReference) {
  std::mt19937 random(4);
  for (const int n : {1, 2, 15, 16, 17, 33, 257, 5000}) {
    const std::vector<float> x = Random(random, n, 12), bias = Random(random, n);
    for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
      std::vector<float> got = x, want = x;
      EXPECT_NEAR(BiasLogSumExp(b, n, got.data()), reference::BiasLogSumExp(b, n, want.data()), 2e-6f * 12);
      EXPECT_EQ(got, want);
      for (const int k : {1, 2, 10, 32}) {
        std::vector<ScoredToken> best(k), best_want(k);
        const int found = TopK(got.data(), n, k, best.data());
        ASSERT_EQ(found, reference::TopK(want.data(), n, k, best_want.data()));
        for (int i = 0; i < found; ++i) {
          EXPECT_EQ(best[i].token, best_want[i].token);
          EXPECT_EQ(best[i].value, best_want[i].value);
        }
      }
    }
  }
}

TEST_P(KernelTest, TopKPrefersTheLowerIdOfEqualsAndNeverTakesABannedToken) {
  std::vector<float> x(40, -std::numeric_limits<float>::infinity());
  x[3] = x[20] = x[39] = 1;
  x[5] = 2;
  ScoredToken best[6];
  EXPECT_EQ(TopK(x.data(), 40, 6, best), 4);
  EXPECT_EQ(best[0].token, 5);
  EXPECT_EQ(best[1].token, 3);
  EXPECT_EQ(best[2].token, 20);
  EXPECT_EQ(best[3].token, 39);
  EXPECT_EQ(TopK(x.data(), 40, 2, best), 2);
  EXPECT_EQ(best[1].token, 3);
}

}  // namespace
}  // namespace heed
