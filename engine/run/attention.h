// Runs an attend op for one row at a time: the rows of a step, and the sources of an init program.
//
// Not thread-safe: one step thread owns it.
#pragma once

#include <vector>

#include "engine/kernels/attention.h"
#include "engine/run/row_ops.h"

namespace heed {

// One query, and the source that it attends to. Energies and weights are [heads, positions], context [value_size].
struct AttendRow {
  const float* query = nullptr;     // projected
  MemoryRows keys;                  // [positions, key_size]; none for a location score
  MemoryRows values;                // [positions, value_size]
  const float* coverage = nullptr;  // [heads, positions], where the op has it
  int positions = 0;
  float* energies = nullptr;
  float* weights = nullptr;
  float* context = nullptr;
};

class Attention {
 public:
  // For the attends among `ops_of_program`.
  Attention(RowOps* ops, const std::vector<Op>& ops_of_program, BufferMaker* buffers);

  // Queries of rows [begin, begin + count), projected; row i's are query_size floats from i * query_size on. begin is a
  // multiple of 16, count at most ops->block(). Valid until the next call, or until ops joins something else.
  const float* Project(const AttendOp& op, const Frame& frame, int begin, int count);

  void Run(const AttendOp& op, const AttendRow& row);

 private:
  RowOps* const ops_;
  Buffer query_;
  Buffer slots_;  // of a location score: every slot's weight
};

}  // namespace heed
