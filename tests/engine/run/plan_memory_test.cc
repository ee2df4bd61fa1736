// What a plan and its engines take is what Plan::Measure said, before any of it was there. Every operator new of the
// program is weighed; oneDNN's generated code is mapped elsewhere and left out.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "engine/kernels/gemm.h"
#include "engine/model/checker.h"
#include "engine/run/plan.h"
#include "tests/support/attention_models.h"

namespace {

thread_local bool weighing = false;
thread_local std::int64_t now = 0, most = 0;

void* Allocate(std::size_t size, std::size_t align) {
  void* p = align > alignof(std::max_align_t) ? std::aligned_alloc(align, (size + align - 1) / align * align)
                                              : std::malloc(size);
  if (p == nullptr) std::abort();
  if (weighing) most = std::max(most, now += static_cast<std::int64_t>(malloc_usable_size(p)));
  return p;
}

void Free(void* p) {
  if (weighing && p != nullptr) now -= static_cast<std::int64_t>(malloc_usable_size(p));
  std::free(p);
}

}  // namespace

// Not inlined: the compiler would take free() for the wrong end of a new-expression.
#define HEED_COUNTED [[gnu::noinline]]
HEED_COUNTED void* operator new(std::size_t size) { return Allocate(size, 0); }
HEED_COUNTED void* operator new(std::size_t size, std::align_val_t align) {
  return Allocate(size, static_cast<std::size_t>(align));
}
HEED_COUNTED void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return Allocate(size, 0); }
HEED_COUNTED void operator delete(void* p) noexcept { Free(p); }
HEED_COUNTED void operator delete(void* p, std::size_t) noexcept { Free(p); }
HEED_COUNTED void operator delete(void* p, std::align_val_t) noexcept { Free(p); }
HEED_COUNTED void operator delete(void* p, std::size_t, std::align_val_t) noexcept { Free(p); }

namespace heed {
namespace {

constexpr std::int64_t kSmall = 512 << 10;  // what does not grow with sizes: lists of ops, names

struct Weight {
  std::int64_t kept = 0, most = 0;
};

// Memory that `make` takes: of what it returns, and at most while it works.
template <typename F>
Weight Weigh(F make) {
  now = most = 0;
  weighing = true;
  [[maybe_unused]] const auto made = make();
  weighing = false;
  return {now, most};
}

void ExpectMeasured(const BundleBuilder& builder, const EngineOptions& options) {
  const Bundle bundle = builder.Build();
  const auto program = CheckProgram(bundle);
  ASSERT_TRUE(program.ok()) << program.status();
  PlanMemory said;
  const Weight measuring = Weigh([&] {
    said = Plan::Measure(bundle, *program, options).value();
    return 0;
  });
  EXPECT_LT(measuring.most, 2 * kSmall);

  std::shared_ptr<const Plan> plan;
  const Weight made = Weigh([&] {
    plan = Plan::Make(bundle, *program, options).value();
    return 0;
  });
  EXPECT_EQ(plan->weight_bytes(), said.weights);
  EXPECT_LE(made.kept, said.weights + said.code + kSmall);
  EXPECT_GE(made.kept, said.weights / 2);  // a large one is said in whole huge pages
  EXPECT_LE(made.most, said.weights + said.code + said.engine + said.making + kSmall);

  const Weight engine = Weigh([&] { return plan->MakeEngine().value(); });
  EXPECT_LE(engine.kept, said.engine + kSmall);
  // All but what primitives may take. There are at most 24 matrices, and 22 sizes of each.
  EXPECT_GE(engine.kept, said.engine - 24 * 22 * (4 << 10));
}

TEST(PlanMemory, IsWhatModelsOfEveryKindTake) {
  const TestSizes z = {.source_vocabulary = 3000,
                       .target_vocabulary = 2000,
                       .embedding = 96,
                       .encoder_hidden = 80,
                       .decoder_hidden = 160,
                       .attention = 112};
  for (const auto make :
       {LuongLstm, BahdanauGru, NoAttention, Marian, Variety, Student, PointerGenerator, Shortlisted}) {
    for (const std::int64_t table_bytes : {std::int64_t{64} << 20, std::int64_t{0}}) {
      EngineOptions options;
      options.max_table_bytes = table_bytes;
      ExpectMeasured(make(make == Shortlisted ? TestSizes{.embedding = 96} : z, 1), options);
    }
  }
}

TEST(PlanMemory, IsWhatLongSourcesAndManyRowsTake) {
  EngineOptions options;
  options.max_source_tokens = 5000;
  options.max_rows = 30;
  for (const auto make : {LuongLstm, Student}) ExpectMeasured(make({}, 1), options);
}

// Said without taking any of it: some 300 GB.
TEST(PlanMemory, OfWhatDoublesFromOpToOpIsSaidAndNotTaken) {
  const Bundle bundle = Doubling(17).Build();
  const auto program = CheckProgram(bundle);
  ASSERT_TRUE(program.ok()) << program.status();
  EngineOptions options;
  options.max_source_tokens = 1 << 16;
  PlanMemory said;
  const Weight measuring = Weigh([&] {
    said = Plan::Measure(bundle, *program, options).value();
    return 0;
  });
  EXPECT_LT(measuring.most, 2 * kSmall);
  EXPECT_GT(said.engine, std::int64_t{6} * (1 << 17) * (1 << 16) * 4);
}

// A matrix of one row is packed for sixteen or sixty-four.
TEST(PlanMemory, OfANarrowMatrixIsThatOfItsPadding) {
  const std::int64_t bytes = PackedMatrix::Bytes({.n = 1, .k = 1 << 16}).value();
  const auto packed =
      PackedMatrix::Pack({1, 1 << 16, std::vector<float>(1 << 16).data()}, {.n = 1, .k = 1 << 16}).value();
  EXPECT_GE(bytes, static_cast<std::int64_t>(packed->bytes()));
}

}  // namespace
}  // namespace heed
