// A model made ready to run: its programs turned into packed products, fused cells and buffer sizes. Made once per
// model at load, shared read-only by every worker's engine.
//
// Immutable after Make, so safe to share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "engine/base/core_team.h"
#include "engine/base/part_times.h"
#include "engine/base/precision.h"
#include "engine/model/bundle.h"
#include "engine/model/checker.h"
#include "engine/run/step_engine.h"

namespace heed {

struct EngineOptions {
  // Rows (hypotheses) that one engine steps at once, 1 to 1024.
  int max_rows = 64;
  // Time that encoding may take between two decode steps, or half of what the last decode step took where that is
  // longer; but for the last of its pieces of work, of max_rows positions in one op at most. Above 0. Small keeps live
  // rows quick, large lets new rows join sooner.
  absl::Duration encode_time_per_step = absl::Milliseconds(2);
  // Longest source and target that buffers are made for.
  int max_source_tokens = 512;
  int max_target_tokens = 512;
  // Largest tabulated product of an embedding and a cell's input weights, one table per such cell; 0 tabulates none.
  // More memory, less work per token.
  std::int64_t max_table_bytes = 64 << 20;
  // Of the weights and their products. FAILED_PRECONDITION from Measure and Make where the machine lacks its
  // instructions (CheckPrecision, engine/kernels/gemm.h).
  Precision precision = Precision::kFloat32;
  // Whose cores share the output product of few rows; null: none do. It outlives the engines.
  CoreTeam* team = nullptr;
  PartTimes* parts = nullptr;  // that an engine adds its steps' times to; null: nowhere
  Clock* clock = nullptr;      // that encode_time_per_step is of; null: the machine's. It outlives the engines.
};

// One `attend` of the step program, as introspection sees it.
struct AttendInfo {
  std::string name;
  int heads = 1;
  int context = 0;  // size of its context, all heads together
};

// Threads for EngineOptions::team.
std::unique_ptr<CoreTeam> MakeCoreTeam(int threads);

// What a plan and its engines take in memory.
struct PlanMemory {
  std::int64_t weights = 0;  // packed, and tables
  std::int64_t code = 0;     // that oneDNN generates; engines share it
  std::int64_t engine = 0;   // each engine
  std::int64_t making = 0;   // beside all, until Make has returned
};

class Plan {
 public:
  // What Make would take, at most; nothing of it is taken. The same errors.
  static absl::StatusOr<PlanMemory> Measure(const Bundle& bundle, const CheckedProgram& program,
                                            const EngineOptions& options);

  // `bundle` need not outlive the call: what the plan needs is packed or copied. `program` is its checked program.
  static absl::StatusOr<std::shared_ptr<const Plan>> Make(const Bundle& bundle, const CheckedProgram& program,
                                                          const EngineOptions& options);
  virtual ~Plan() = default;

  virtual const std::vector<AttendInfo>& attends() const = 0;  // in program order
  virtual bool copies() const { return false; }                // jobs need copy_ids, results have copies
  virtual bool shortlists() const { return false; }            // jobs may have a shortlist
  virtual std::int64_t weight_bytes() const = 0;               // memory that packed weights and tables take
  // Memory that a job takes inside an engine and its result while that is made, at most: encoder memory, keys, search,
  // what it captures, n_best hypotheses of max_length tokens. Exact but for the allocator's own. The job itself and
  // what TakeProgress gives are the caller's.
  virtual std::int64_t JobBytes(const DecodeJob& job) const = 0;
  // An engine for one step thread. It shares this plan. INTERNAL when oneDNN refuses, RESOURCE_EXHAUSTED where there is
  // no memory for it.
  virtual absl::StatusOr<std::unique_ptr<StepEngine>> MakeEngine() const = 0;
};

}  // namespace heed
