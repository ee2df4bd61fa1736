// A step allocates nothing. Every operator new of the program is counted; what oneDNN does inside
// dnnl_primitive_execute (its C interface builds an argument map on the heap, 4 to 6 small blocks a call) is counted
// apart, since no caller can avoid it.
#include <dlfcn.h>
#include <dnnl.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "engine/model/checker.h"
#include "engine/run/plan.h"
#include "tests/support/attention_models.h"

namespace {

thread_local bool counting = false;
thread_local bool inside_onednn = false;
thread_local long ours = 0;
thread_local long products = 0;

void* Allocate(std::size_t size, std::size_t align) {
  if (counting && !inside_onednn) ++ours;
  void* p = align > alignof(std::max_align_t) ? std::aligned_alloc(align, (size + align - 1) / align * align)
                                              : std::malloc(size);
  if (p == nullptr) std::abort();
  return p;
}

}  // namespace

// Not inlined: the compiler would take free() for the wrong end of a new-expression.
#define HEED_COUNTED [[gnu::noinline]]
HEED_COUNTED void* operator new(std::size_t size) { return Allocate(size, 0); }
HEED_COUNTED void* operator new(std::size_t size, std::align_val_t align) {
  return Allocate(size, static_cast<std::size_t>(align));
}
// std::stable_sort takes its buffer from this one; left out, a sanitizer's own would answer for what free() gets.
HEED_COUNTED void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return Allocate(size, 0); }
HEED_COUNTED void operator delete(void* p) noexcept { std::free(p); }
HEED_COUNTED void operator delete(void* p, std::size_t) noexcept { std::free(p); }
HEED_COUNTED void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
HEED_COUNTED void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

// Stands before the library's own, which it calls.
extern "C" dnnl_status_t dnnl_primitive_execute(const_dnnl_primitive_t primitive, dnnl_stream_t stream, int nargs,
                                                const dnnl_exec_arg_t* args) {
  using Execute = dnnl_status_t (*)(const_dnnl_primitive_t, dnnl_stream_t, int, const dnnl_exec_arg_t*);
  static const auto execute = reinterpret_cast<Execute>(dlsym(RTLD_NEXT, "dnnl_primitive_execute"));
  inside_onednn = true;
  if (counting) ++products;
  const dnnl_status_t status = execute(primitive, stream, nargs, args);
  inside_onednn = false;
  return status;
}

namespace heed {
namespace {

TEST(StepAllocation, CountsWhatItIsMeantToCount) {
  ours = 0;
  counting = true;
  int* volatile number = new int(1);  // volatile: the compiler may not leave both out
  delete number;
  counting = false;
  EXPECT_EQ(ours, 1);
}

BundleBuilder NormedCells(const TestSizes& z, std::uint32_t seed) {
  return CellModel({.kind = "GRU", .reset_before = true, .norm = "GATES"}, z, seed);
}

BundleBuilder OwnCopyAttention(const TestSizes& z, std::uint32_t seed) { return CopyAttention(true, z, seed); }
BundleBuilder CoverageFromInit(const TestSizes& z, std::uint32_t seed) {
  return AttentionModel({.heads = 2, .coverage = true, .arithmetic = true, .in_init = true}, z, seed);
}
BundleBuilder Location(const TestSizes& z, std::uint32_t seed) {
  return AttentionModel({.score = "LOCATION", .sparsemax = true}, z, seed);
}

TEST(StepAllocation, NoneWhileSourcesAreEncodedAndRowsDecodeGreedilyAndByBeam) {
  for (const auto make : {LuongLstm, BahdanauGru, NoAttention, Marian, Variety, Student, NormedCells, PointerGenerator,
                          OwnCopyAttention, CoverageFromInit, Location, Shortlisted}) {
    const Bundle bundle = make({}, 1).Build();
    const auto program = CheckProgram(bundle);
    ASSERT_TRUE(program.ok()) << program.status();
    EngineOptions options;
    options.max_rows = 16;
    options.encode_positions_per_step = 4;
    const auto plan = Plan::Make(bundle, *program, options);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const auto engine = (*plan)->MakeEngine();
    std::vector<DecodeJob> jobs(8);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      DecodeJob& job = jobs[i];
      job.source.assign(3 + 2 * i, 5);
      job.search.max_length = 12;
      job.search.beam_size = job.search.n_best = 1 + i % 3;
      if (i == 3) job.search.repetition_penalty = 1.3f;
      if (i == 4) job.search.no_repeat_ngram_size = 2;
      if (i == 5) job.search.min_length = 6;
      if (i == 6) job.search.coverage_penalty = CoveragePenalty::kWu;
      if (i == 7) job.search.banned = {4};
      job.capture.weights = job.capture.energies = job.capture.contexts = true;
      job.sources = true;
      if ((*plan)->copies()) job.copy_ids.assign(job.source.size(), i % 2 == 0 ? 19 : 5);
      if ((*plan)->shortlists() && i % 2 == 0) job.shortlist = {2, 3, 5, 8};
      for (std::size_t a = 0; a < (*plan)->attends().size(); ++a) job.capture.attends.push_back(static_cast<int>(a));
    }
    StepReport report;
    report.first_token.reserve(jobs.size());
    report.finished.reserve(jobs.size());
    ours = products = 0;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      engine->Admit(static_cast<JobId>(i), &jobs[i]);
      for (int step = 0; step < (i + 1 == jobs.size() ? 200 : 2); ++step) {
        report.Clear();
        counting = true;
        engine->Step(&report);
        counting = false;
        for (const JobId id : report.finished) engine->Take(id);
      }
    }
    EXPECT_EQ(engine->live_jobs(), 0);
    EXPECT_GT(products, 100);
    EXPECT_EQ(ours, 0);
  }
}

}  // namespace
}  // namespace heed
