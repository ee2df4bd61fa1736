// Runs the step program over the live rows: one target position of every row.
//
// Rows are dense and change from step to step: each names the row of the step before that it goes on from, or none when
// its job is new. Joining, leaving, beam reordering and compaction are all that one gather.
//
// Not thread-safe: one step thread owns it.
#pragma once

#include <vector>

#include "engine/run/cell_runner.h"
#include "engine/run/live_job.h"
#include "engine/run/row_ops.h"

namespace heed {

struct StepRow {
  LiveJob* job = nullptr;
  int index = 0;    // among the job's rows
  int parent = -1;  // row of the step before; -1: the job's first step
  TokenId input = 0;
};

class Stepper {
 public:
  // At most ops->block() rows, sources of at most max_source_tokens.
  Stepper(const CompiledModel& model, RowOps* ops, int max_source_tokens);

  // Fills logits (without the output's bias) and records attention for the jobs that want it. Allocates nothing.
  void Run(const std::vector<StepRow>& rows);

  float* logits(int row) { return logits_.data() + static_cast<std::size_t>(row) * model_.vocabulary; }

 private:
  void TakeUp(const std::vector<StepRow>& rows);
  void RunOp(const EmbedOp& op, const std::vector<StepRow>& rows);
  void RunOp(const CellOp& op, const std::vector<StepRow>& rows);
  void RunOp(const AttendOp& op, const std::vector<StepRow>& rows);
  void RunOp(const PositionOp& op, const std::vector<StepRow>& rows);
  void RunOp(const RnnOp&, const std::vector<StepRow>&) {}  // source programs alone have these three
  void RunOp(const PoolOp&, const std::vector<StepRow>&) {}
  void RunOp(const SelfAttendOp&, const std::vector<StepRow>&) {}
  template <typename RowOp>
  void RunOp(const RowOp& op, const std::vector<StepRow>& rows) {
    ops_->Run(op, frame_, 0, static_cast<int>(rows.size()));
  }

  const CompiledModel& model_;
  RowOps* const ops_;
  const int max_source_;
  Frame frame_;
  std::vector<Buffer> buffers_;
  Buffer logits_;
  Buffer zero_embedding_;

  CellRunner cells_;
  // Scratch of one op.
  Buffer gates_, query_;
  std::vector<const float*> table_rows_;
};

}  // namespace heed
