#include "engine/run/cell_runner.h"

#include <algorithm>

#include "engine/kernels/elementwise.h"

namespace heed {

CellRunner::CellRunner(RowOps* ops, int rows, const std::vector<const CellOp*>& cells, BufferMaker* buffers)
    : ops_(ops) {
  int gates = 0, hidden = 0;
  for (const CellOp* cell : cells) {
    gates = std::max(gates, cell->blocks * cell->hidden);
    if (cell->reset_before) hidden = std::max(hidden, cell->hidden);
  }
  gates_ = buffers->Make(Floats(rows, gates));
  for (Buffer* buffer : {&candidate_, &z_, &reset_h_}) *buffer = buffers->Make(Floats(rows, hidden));
}

void CellRunner::FinishInput(const CellOp& op, int rows, float* x) {
  const float* bias = ops_->constant(op.bias);
  const CellNormOp& norm = op.norm;
  if (norm.apart) {
    CellNormRows(rows, norm.groups, {nullptr, bias}, ops_->constant(norm.input_scale), ops_->constant(norm.input_bias),
                 norm.epsilon, x);
  } else {
    BiasActivateRows(Activation::kIdentity, rows, op.blocks * op.hidden, bias, x);
  }
}

void CellRunner::Run(const CellOp& op, int rows, const float* x, Addend addend, const CellState& state) {
  if (op.type == CellType::kSsru) {
    SsruRows(op.functions, rows, op.hidden, x, addend, state.c_in, state.c, state.h);
    return;
  }
  if (op.type == CellType::kGru) {
    RunGru(op, rows, x, addend, state);
    return;
  }
  ops_->gemm(op.state).Run(rows, state.h_in, gates_.data());
  const CellNormOp& norm = op.norm;
  if (norm.apart) {
    CellNormRows(rows, norm.groups, {nullptr, ops_->constant(op.state_bias)}, ops_->constant(norm.state_scale),
                 ops_->constant(norm.state_bias), norm.epsilon, gates_.data());
  }
  if (x != nullptr) AddTo(rows * op.blocks * op.hidden, x, gates_.data());
  FinishSum(op, rows, addend, state);
}

void CellRunner::RunJoint(const CellOp& op, int rows, const float* joined, Addend addend, const CellState& state) {
  ops_->gemm(op.joint).Run(rows, joined, gates_.data());
  FinishSum(op, rows, addend, state);
}

void CellRunner::FinishSum(const CellOp& op, int rows, Addend addend, const CellState& state) {
  const CellNormOp& norm = op.norm;
  if (norm.on && !norm.apart) {
    CellNormRows(rows, norm.groups, addend, ops_->constant(norm.input_scale), ops_->constant(norm.input_bias),
                 norm.epsilon, gates_.data());
    addend = {};
  }
  if (op.type == CellType::kLstm) {
    const CellNorm output{ops_->constant(norm.cell_scale), ops_->constant(norm.cell_bias), norm.epsilon,
                          norm.cell_carried};
    LstmRows(op.functions, rows, op.hidden, gates_.data(), addend, state.c_in, output, state.c, state.h);
  } else {
    RnnRows(op.functions.function, rows, op.hidden, gates_.data(), addend, state.h);
  }
}

void CellRunner::RunGru(const CellOp& op, int rows, const float* x, Addend addend, const CellState& state) {
  const CellNormOp& norm = op.norm;
  const float* bias = ops_->constant(op.state_bias);
  // Normalises columns [begin, ...) of the state's product, which takes its bias with it.
  const auto normalise = [&](std::span<const int> groups, int begin, float* y) {
    const auto part = [begin](const float* p) { return p == nullptr ? nullptr : p + begin; };
    CellNormRows(rows, groups, {nullptr, part(ops_->constant(op.state_bias))}, part(ops_->constant(norm.state_scale)),
                 part(ops_->constant(norm.state_bias)), norm.epsilon, y);
  };
  ops_->gemm(op.state).Run(rows, state.h_in, gates_.data());
  if (norm.on) {
    normalise(op.reset_before ? norm.gate_groups : norm.groups, 0, gates_.data());
    bias = nullptr;
  }
  if (!op.reset_before) {
    GruRows(op.functions, rows, op.hidden, x, addend, gates_.data(), bias, state.h_in, state.h);
    return;
  }
  GruGateRows(op.functions.gate, rows, op.hidden, x, addend, gates_.data(), bias, state.h_in, z_.data(),
              reset_h_.data());
  ops_->gemm(op.state_n).Run(rows, reset_h_.data(), candidate_.data());
  if (norm.on) normalise({&op.hidden, 1}, 2 * op.hidden, candidate_.data());
  GruUpdateRows(op.functions.function, rows, op.hidden, x, addend, candidate_.data(),
                bias == nullptr ? nullptr : bias + 2 * op.hidden, z_.data(), state.h_in, state.h);
}

}  // namespace heed
