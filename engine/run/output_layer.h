// The output layer of a step: logits of every row over the whole vocabulary, or over its job's shortlist alone.
//
// Not thread-safe: one step thread owns it.
#pragma once

#include <vector>

#include "engine/kernels/gather.h"
#include "engine/run/row_ops.h"
#include "engine/run/step_row.h"

namespace heed {

class OutputLayer {
 public:
  OutputLayer(const CompiledModel& model, RowOps* ops, BufferMaker* buffers);

  // x [rows, output inputs], as RowOps::Join gives it. Allocates nothing.
  void Run(const float* x, const std::vector<StepRow>& rows);

  // Of a job without a shortlist [vocabulary], without the output's bias; else [shortlist], with it.
  float* logits(int row) { return logits_.data() + Floats(place_[row], model_.vocabulary); }

 private:
  const CompiledModel& model_;
  RowOps* const ops_;
  Buffer logits_;
  Buffer dense_;            // x of the rows without a shortlist, where others have one
  std::vector<int> place_;  // by row: its row of logits_
  std::vector<GatheredRow> listed_;
};

}  // namespace heed
