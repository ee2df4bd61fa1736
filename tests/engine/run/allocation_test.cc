// A step allocates nothing, and a job what it says. Every operator new of the program is counted; what oneDNN does
// inside dnnl_primitive_execute (its C interface builds an argument map on the heap, 4 to 6 small blocks a call) is
// counted apart, since no caller can avoid it.
#include <dlfcn.h>
#include <dnnl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
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

// The bytes that are allocated and not freed while watching is on, and the most that there were.
struct Live {
  void* p;
  std::int64_t bytes;
};
thread_local bool watching = false;
thread_local std::array<Live, 4096> live;
thread_local std::size_t live_count = 0;
thread_local std::int64_t live_bytes = 0, most_live_bytes = 0;

void Watch(void* p, std::size_t size) {
  if (!watching || inside_onednn) return;
  if (live_count == live.size()) std::abort();
  live[live_count++] = {p, static_cast<std::int64_t>(size)};
  most_live_bytes = std::max(most_live_bytes, live_bytes += static_cast<std::int64_t>(size));
}

void Free(void* p) {
  const auto end = live.begin() + static_cast<std::ptrdiff_t>(live_count);
  const auto at = std::find_if(live.begin(), end, [p](const Live& l) { return l.p == p; });
  if (at != end) {
    live_bytes -= at->bytes;
    *at = live[--live_count];
  }
  std::free(p);
}

void* Allocate(std::size_t size, std::size_t align) {
  if (counting && !inside_onednn) ++ours;
  void* p = align > alignof(std::max_align_t) ? std::aligned_alloc(align, (size + align - 1) / align * align)
                                              : std::malloc(size);
  if (p == nullptr) std::abort();
  Watch(p, size);
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
HEED_COUNTED void operator delete(void* p) noexcept { Free(p); }
HEED_COUNTED void operator delete(void* p, std::size_t) noexcept { Free(p); }
HEED_COUNTED void operator delete(void* p, std::align_val_t) noexcept { Free(p); }
HEED_COUNTED void operator delete(void* p, std::size_t, std::align_val_t) noexcept { Free(p); }

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
    options.encode_time_per_step = absl::Microseconds(10);
    const auto plan = Plan::Make(bundle, *program, options);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const auto engine = (*plan)->MakeEngine().value();
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
      job.progress = i % 2 == 0;
      if ((*plan)->copies()) job.copy_ids.assign(job.source.size(), i % 2 == 0 ? 19 : 5);
      if ((*plan)->shortlists() && i % 2 == 0) job.shortlist = {2, 3, 5, 8};
      for (std::size_t a = 0; a < (*plan)->attends().size(); ++a) job.capture.attends.push_back(static_cast<int>(a));
    }
    StepReport report;
    report.first_token.reserve(jobs.size());
    report.finished.reserve(jobs.size());
    report.progressed.reserve(jobs.size());
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

// Every number of rows, hypotheses and tokens; all that can be captured; penalties that keep something of their own.
std::vector<DecodeJob> Sweep(const Plan& plan) {
  std::vector<DecodeJob> jobs;
  for (int i = 0; i < 60; ++i) {
    DecodeJob job;
    job.source.assign(1 + i * 7 % 41, 5);
    job.search.beam_size = 1 + i % 5;
    job.search.n_best = 1 + i % job.search.beam_size;
    // As long as it may be, so that results are as large as they can be.
    job.search.max_length = job.search.min_length = 1 + i * 5 % 37;
    job.search.beam_policy = static_cast<BeamPolicy>(i % 6);
    if (i % 3 == 1) {
      job.search.coverage_penalty = CoveragePenalty::kWu;
      job.search.coverage_beta = 0.1F;
    }
    if (i % 4 == 1) job.search.banned = {3, 4, 6};
    if (i % 7 == 3) job.forced.assign(1 + i % 11, 7);
    job.capture.weights = i % 2 == 0;
    job.capture.energies = i % 3 == 0;
    job.capture.contexts = i % 5 == 0;
    for (std::size_t a = 0; a < plan.attends().size(); ++a) job.capture.attends.push_back(static_cast<int>(a));
    job.sources = i % 3 == 2;
    if (plan.copies()) job.copy_ids.assign(job.source.size(), i % 2 == 0 ? 19 : 5);
    if (plan.shortlists() && i % 2 == 0) job.shortlist = {2, 3, 5, 8, 9, 10, 11, 12};
    jobs.push_back(std::move(job));
  }
  return jobs;
}

TEST(JobBytes, AreWhatAJobAllocatesFromItsAdmissionToItsResult) {
  for (const auto make :
       {LuongLstm, NoAttention, Student, PointerGenerator, OwnCopyAttention, CoverageFromInit, Location, Shortlisted}) {
    const Bundle bundle = make({}, 1).Build();
    const auto program = CheckProgram(bundle);
    ASSERT_TRUE(program.ok()) << program.status();
    const auto plan = Plan::Make(bundle, *program, {}).value();
    const auto engine = plan->MakeEngine().value();
    StepReport report;
    report.first_token.reserve(1);
    report.finished.reserve(1);
    for (const DecodeJob& job : Sweep(*plan)) {
      const std::int64_t said = plan->JobBytes(job);
      report.Clear();
      live_count = 0;
      live_bytes = most_live_bytes = 0;
      watching = true;
      engine->Admit(1, &job);
      while (report.finished.empty()) engine->Step(&report);
      {
        const DecodeResult result = engine->Take(1);
        EXPECT_EQ(result.hypotheses.size(), job.forced.empty() ? job.search.n_best : 1);
      }
      watching = false;
      EXPECT_EQ(live_bytes, 0);
      EXPECT_EQ(most_live_bytes, said) << job.source.size() << " source tokens, beam " << job.search.beam_size;
    }
  }
}

}  // namespace
}  // namespace heed
