// Self-attention over the sources of a group: the projections of all positions first, then each position's attention
// over its own source and the projection of the outcome, some positions at a time.
//
// Owns scratch. Not thread-safe: one step thread owns it.
#pragma once

#include <vector>

#include "engine/run/row_ops.h"

namespace heed {

class SelfAttention {
 public:
  // Groups of at most max_positions positions.
  SelfAttention(const CompiledModel& model, RowOps* ops, int max_positions, BufferMaker* buffers);

  // Queries, keys and values of rows [begin, begin + count) of x; begin and count as RowOps has them.
  void Project(const SelfAttendOp& op, const float* x, int begin, int count);

  // Rows [begin, begin + count) of y, after all rows are projected. Source s has rows [offset[s], offset[s] +
  // length[s]); offsets ascend.
  void Attend(const SelfAttendOp& op, const std::vector<int>& offset, const std::vector<int>& length, int begin,
              int count, float* y);

 private:
  RowOps* const ops_;
  Buffer projected_;  // [positions, 3 size]: query, key, value
  Buffer contexts_;   // of the rows that Attend works on
  Buffer scratch_;
};

}  // namespace heed
