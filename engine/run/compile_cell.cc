#include "engine/run/compile_cell.h"

#include <cstddef>

#include "engine/base/status_macros.h"

namespace heed {
namespace {

CellNormOp CompileNorm(const CellWeights& weights, int blocks, WeightStore* store) {
  const CellNormWeights& norm = weights.norm;
  CellNormOp op;
  op.on = norm.on;
  if (!op.on) return op;
  op.apart = norm.state_scale != nullptr || weights.type == CellType::kSsru;
  op.input_scale = store->Constant(norm.input_scale);
  op.input_bias = store->Constant(norm.input_bias);
  op.state_scale = store->Constant(norm.state_scale);
  op.state_bias = store->Constant(norm.state_bias);
  op.cell_scale = store->Constant(norm.cell_scale);
  op.cell_bias = store->Constant(norm.cell_bias);
  op.cell_carried = norm.cell_carried;
  op.epsilon = norm.epsilon;
  const int h = weights.hidden;
  switch (norm.groups) {
    case CellNormWeights::Groups::kAll:
      op.groups = {blocks * h};
      op.gate_groups = {2 * h};
      break;
    case CellNormWeights::Groups::kBlocks:
      op.groups.assign(blocks, h);
      op.gate_groups = {h, h};
      break;
    case CellNormWeights::Groups::kGates:
      op.groups = {2 * h, h};
      op.gate_groups = {2 * h};
      break;
  }
  return op;
}

// Columns [0, begin) and [begin + count, end) of weight_input, row by row.
std::vector<float> WithoutColumns(const Tensor& w, int begin, int count) {
  std::vector<float> kept;
  const std::size_t all = w.columns();
  for (std::size_t r = 0; r < static_cast<std::size_t>(w.rows()); ++r) {
    const float* row = &w.data[r * all];
    kept.insert(kept.end(), row, row + begin);
    kept.insert(kept.end(), row + begin + count, row + all);
  }
  return kept;
}

// input: [blocks * hidden, op.inputs.total].
absl::Status PackProducts(const CellWeights& weights, const std::vector<float>& input, bool joint, WeightStore* store,
                          CellOp* op) {
  const int n = op->blocks * op->hidden, h = op->hidden, k = op->inputs.total;
  if (op->type == CellType::kSsru) {
    if (k > 0) {
      HEED_ASSIGN_OR_RETURN(op->input, store->Pack(n, k, input.data()));
    }
    return absl::OkStatus();
  }
  const float* state = weights.weight_state->data.data();
  if (joint && op->type != CellType::kGru && !op->norm.apart) {
    std::vector<float> both;
    for (int r = 0; r < n; ++r) {
      const float *x = input.data() + static_cast<std::ptrdiff_t>(r) * k,
                  *u = state + static_cast<std::ptrdiff_t>(r) * h;
      both.insert(both.end(), x, x + k);
      both.insert(both.end(), u, u + h);
    }
    HEED_ASSIGN_OR_RETURN(op->joint, store->Pack(n, k + h, both.data()));
    return absl::OkStatus();
  }
  if (k > 0) {
    HEED_ASSIGN_OR_RETURN(op->input, store->Pack(n, k, input.data()));
  }
  if (op->reset_before) {
    HEED_ASSIGN_OR_RETURN(op->state, store->Pack(2 * h, h, state));
    HEED_ASSIGN_OR_RETURN(op->state_n, store->Pack(h, h, state + static_cast<std::ptrdiff_t>(2 * h) * h));
  } else {
    HEED_ASSIGN_OR_RETURN(op->state, store->Pack(n, h, state));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CellOp> CompileCell(const CellWeights& weights, std::vector<CellInput> inputs, bool joint,
                                   WeightStore* store) {
  CellOp op;
  op.type = weights.type;
  op.reset_before = weights.reset_before;
  op.functions = {weights.gate, weights.function};
  op.hidden = weights.hidden;
  op.blocks = GateBlocks(weights.type);
  op.norm = CompileNorm(weights, op.blocks, store);
  Buffer bias(static_cast<std::size_t>(op.blocks) * op.hidden);
  WeightStore::AddTensor(weights.bias_input, bias);
  if (op.type == CellType::kGru || op.norm.apart) {
    op.state_bias = store->Constant(weights.bias_state);
  } else {
    WeightStore::AddTensor(weights.bias_state, bias);
  }
  // The first input that is an embedding becomes a table, if it fits and nothing is normalised.
  int skip_begin = 0, skip_count = 0, at = 0;
  for (std::size_t i = 0; i < inputs.size() && !op.norm.on; ++i) {
    if (inputs[i].embed != nullptr) {
      HEED_ASSIGN_OR_RETURN(const auto table, store->Table(*inputs[i].embed, *weights.weight_input, at, bias));
      if (table.has_value()) {
        op.table = *table;
        skip_begin = at;
        skip_count = inputs[i].size;
        inputs.erase(inputs.begin() + static_cast<std::ptrdiff_t>(i));
        break;
      }
    }
    at += inputs[i].size;
  }
  if (op.table < 0) op.bias = store->Constant(std::move(bias));
  for (const CellInput& input : inputs) {
    op.inputs.refs.push_back(input.ref);
    op.inputs.sizes.push_back(input.size);
    op.inputs.total += input.size;
  }
  std::vector<float> input;
  if (op.inputs.total > 0) input = WithoutColumns(*weights.weight_input, skip_begin, skip_count);
  HEED_RETURN_IF_ERROR(PackProducts(weights, input, joint, store, &op));
  return op;
}

}  // namespace heed
