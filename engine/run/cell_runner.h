// Runs one step of a recurrence over some rows: the state's products, the norms inside the cell, the gates. The step
// program and whole-source recurrences share it; they differ in where the inputs' part comes from.
//
// Owns scratch. Not thread-safe: one step thread owns it.
#pragma once

#include <vector>

#include "engine/kernels/cell.h"
#include "engine/run/row_ops.h"

namespace heed {

// Rows of the state before and after, dense; c is read and written by LSTM and SSRU alone, h_in by all but SSRU. The
// state after may be the state before.
struct CellState {
  const float* h_in = nullptr;
  const float* c_in = nullptr;
  float* h = nullptr;
  float* c = nullptr;
};

class CellRunner {
 public:
  // Scratch for every one of `cells` at `rows` rows, padding included.
  CellRunner(RowOps* ops, int rows, const std::vector<const CellOp*>& cells, BufferMaker* buffers);

  // Adds the bias to the inputs' product x [rows, blocks * hidden] and, where inputs are normalised apart, normalises
  // it, in place. What comes of it is an addend without another bias.
  void FinishInput(const CellOp& op, int rows, float* x);

  // One step. The inputs' part is x (null: none) plus the addend.
  void Run(const CellOp& op, int rows, const float* x, Addend addend, const CellState& state);

  // The same where op.joint is there: `joined` [rows, inputs + hidden] are the inputs and h_in side by side.
  void RunJoint(const CellOp& op, int rows, const float* joined, Addend addend, const CellState& state);

 private:
  void RunGru(const CellOp& op, int rows, const float* x, Addend addend, const CellState& state);
  // LSTM and RNN, from the summed products in gates_.
  void FinishSum(const CellOp& op, int rows, Addend addend, const CellState& state);

  RowOps* const ops_;
  Buffer gates_, candidate_, z_, reset_h_;
};

}  // namespace heed
