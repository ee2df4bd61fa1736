// Runs the step program over the live rows: one target position of every row.
//
// Rows are dense and change from step to step: each names the row of the step before that it goes on from, or none when
// its job is new. Joining, leaving, beam reordering and compaction are all that one gather.
//
// Not thread-safe: one step thread owns it.
#pragma once

#include <vector>

#include "engine/run/attention.h"
#include "engine/run/cell_runner.h"
#include "engine/run/output_layer.h"
#include "engine/run/row_ops.h"
#include "engine/run/step_row.h"

namespace heed {

class Stepper {
 public:
  // At most max_rows rows, sources of at most max_source_tokens.
  Stepper(const CompiledModel& model, RowOps* ops, int max_rows, int max_source_tokens, BufferMaker* buffers);

  // Fills what the output layer makes and shows attention to the jobs. Allocates nothing.
  void Run(const std::vector<StepRow>& rows);

  OutputRow& output(int row) { return output_.row(row); }
  // Of a model that copies, as its copy op reads them: the gate and the weights by source position.
  float copy_gate(int row) const { return frame_.at(model_.copy->gate)[row]; }
  const float* copied(int row) const { return frame_.at(model_.copy->attention) + Floats(row, max_source_); }

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
    if constexpr (RowOps::kKeepsType<RowOp>) {
      if (model_.step_slots[op.out].type == ValueType::kPositions) {
        RunPositions(op, rows);
        return;
      }
    }
    ops_->Run(op, frame_, 0, static_cast<int>(rows.size()));
  }
  // Positions are as many as each row's source has.
  template <typename RowOp>
  void RunPositions(const RowOp& op, const std::vector<StepRow>& rows) {
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const std::size_t at = Floats(static_cast<int>(r), Stride(ValueType::kPositions, op.size));
      RowOps::RunElements(op, frame_, at, op.size * rows[r].job->positions());
    }
  }
  // Floats from one row of a value to the next.
  int Stride(ValueType type, int size) const { return type == ValueType::kPositions ? size * max_source_ : size; }

  const CompiledModel& model_;
  RowOps* const ops_;
  const int max_source_;
  Frame frame_;
  std::vector<Buffer> buffers_;

  CellRunner cells_;
  Attention attention_;
  OutputLayer output_;
  Buffer gates_;  // scratch of one op
  std::vector<const float*> table_rows_;
};

}  // namespace heed
