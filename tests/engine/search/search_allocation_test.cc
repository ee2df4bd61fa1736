// A search allocates nothing between its construction and its results, whatever its settings.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/engine/search/toy_model.h"

namespace {

thread_local bool counting = false;
thread_local long allocations = 0;

void* Allocate(std::size_t size) {
  if (counting) ++allocations;
  void* p = std::malloc(size);
  if (p == nullptr) std::abort();
  return p;
}

void Watch(bool on) { counting = on; }

}  // namespace

// Not inlined: the compiler would take free() for the wrong end of a new-expression.
#define HEED_COUNTED [[gnu::noinline]]
HEED_COUNTED void* operator new(std::size_t size) { return Allocate(size); }
HEED_COUNTED void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return Allocate(size); }
HEED_COUNTED void operator delete(void* p) noexcept { std::free(p); }
HEED_COUNTED void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace heed {
namespace {

TEST(SearchAllocation, CountsWhatItIsMeantToCount) {
  allocations = 0;
  counting = true;
  int* volatile number = new int(1);  // volatile: the compiler may not leave both out
  delete number;
  counting = false;
  EXPECT_EQ(allocations, 1);
}

TEST(SearchAllocation, NoneInAnyStep) {
  SearchOptions options{.beam_size = 4, .n_best = 4, .min_length = 1, .max_length = 9, .repetition_penalty = 1.2F};
  options.no_repeat_ngram_size = 2;
  options.banned = {kToyPad};
  options.unknown = kToyUnk;
  options.unknown_penalty = 0.5;
  options.length_normalization = LengthNormalization::kGnmt;
  options.coverage_penalty = CoveragePenalty::kWu;
  options.coverage_beta = 0.2F;
  for (const BeamPolicy policy : {BeamPolicy::kFairseq, BeamPolicy::kRefill, BeamPolicy::kShrink, BeamPolicy::kKeep,
                                  BeamPolicy::kWalk, BeamPolicy::kGoOn}) {
    options.beam_policy = policy;
    for (int variant = 0; variant < 48; ++variant) {
      options.beam_size = 1 + variant % 4;
      options.n_best = options.beam_size;
      options.beam_stop = static_cast<BeamStop>(variant % 8);
      options.unfinished = static_cast<UnfinishedPolicy>(variant % 3);
      options.length_every_step = options.late_end_scores = variant % 5 == 0;
      options.coverage_every_step = options.no_repeat_ngram_drops = variant % 2 == 0;
      allocations = 0;
      const auto results = RunSearch({static_cast<unsigned>(variant), 0.5F}, options, Watch);
      EXPECT_EQ(allocations, 0) << "policy " << static_cast<int>(policy) << ", variant " << variant;
      EXPECT_GE(results.size(), 1u);
      EXPECT_LE(results.size(), static_cast<std::size_t>(options.n_best));
    }
  }
}

}  // namespace
}  // namespace heed
