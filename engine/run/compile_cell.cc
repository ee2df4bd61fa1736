#include "engine/run/compile_cell.h"

#include <algorithm>
#include <cstddef>
#include <vector>

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

// What is left of weight_input: columns [0, begin) and [begin + count, all).
struct InputColumns {
  const Tensor* weight = nullptr;
  int begin = 0, count = 0;

  std::size_t size() const { return static_cast<std::size_t>(weight->columns()) - count; }
  // Copies row r of the weight's floats.
  float* Append(const std::vector<float>& floats, std::size_t r, float* to) const {
    const float* row = &floats[r * weight->columns()];
    to = std::copy(row, row + begin, to);
    return std::copy(row + begin + count, row + weight->columns(), to);
  }
};

// The input's product alone.
WeightStore::MakeFloats Alone(const InputColumns& input) {
  return [input] {
    const std::vector<float> floats = input.weight->Floats();
    std::vector<float> kept(input.weight->rows() * input.size());
    float* to = kept.data();
    for (std::size_t r = 0; r < static_cast<std::size_t>(input.weight->rows()); ++r) to = input.Append(floats, r, to);
    return kept;
  };
}

// Input's and state's side by side. Without an input its weight is null.
WeightStore::MakeFloats Beside(const InputColumns& input, const Tensor& state) {
  return [input, &state] {
    const std::size_t n = state.rows(), h = state.columns(), k = input.weight == nullptr ? 0 : input.size();
    const std::vector<float> inputs = k == 0 ? std::vector<float>() : input.weight->Floats(), states = state.Floats();
    std::vector<float> both(n * (k + h));
    float* to = both.data();
    for (std::size_t r = 0; r < n; ++r) {
      if (k > 0) to = input.Append(inputs, r, to);
      to = std::copy_n(&states[r * h], h, to);
    }
    return both;
  };
}

// Rows [begin, begin + count).
WeightStore::MakeFloats Rows(const Tensor& w, int begin, int count) {
  return [&w, begin, count] {
    const std::vector<float> floats = w.Floats();
    const auto first = floats.begin() + static_cast<std::ptrdiff_t>(begin) * w.columns();
    return std::vector<float>(first, first + static_cast<std::ptrdiff_t>(count) * w.columns());
  };
}

absl::Status PackProducts(const CellWeights& weights, const InputColumns& input, bool joint, WeightStore* store,
                          CellOp* op) {
  const int n = op->blocks * op->hidden, h = op->hidden, k = op->inputs.total;
  if (joint && op->type != CellType::kGru && op->type != CellType::kSsru && !op->norm.apart) {
    const InputColumns none;
    HEED_ASSIGN_OR_RETURN(op->joint, store->Pack(n, k + h, Beside(k > 0 ? input : none, *weights.weight_state)));
    return absl::OkStatus();
  }
  if (k > 0) {
    HEED_ASSIGN_OR_RETURN(op->input, input.count == 0 ? store->Pack(input.weight) : store->Pack(n, k, Alone(input)));
  }
  if (op->type == CellType::kSsru) return absl::OkStatus();
  const int at_once = op->reset_before ? 2 * h : n;
  HEED_ASSIGN_OR_RETURN(op->state, op->reset_before ? store->Pack(at_once, h, Rows(*weights.weight_state, 0, at_once))
                                                    : store->Pack(weights.weight_state));
  if (op->reset_before) {
    HEED_ASSIGN_OR_RETURN(op->state_n, store->Pack(h, h, Rows(*weights.weight_state, 2 * h, h)));
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
  const std::size_t gates = static_cast<std::size_t>(op.blocks) * op.hidden;
  const bool state_apart = op.type == CellType::kGru || op.norm.apart;
  if (state_apart) op.state_bias = store->Constant(weights.bias_state);
  const auto bias = [gates, input = weights.bias_input, state = state_apart ? nullptr : weights.bias_state] {
    std::vector<float> sum(gates);
    for (const Tensor* t : {input, state}) {
      for (std::size_t i = 0; t != nullptr && i < gates; ++i) sum[i] += t->data[i];
    }
    return sum;
  };
  // The first input that is an embedding becomes a table, if it fits and nothing is normalised.
  InputColumns left{weights.weight_input};
  int at = 0;
  for (std::size_t i = 0; i < inputs.size() && !op.norm.on; ++i) {
    if (inputs[i].embed != nullptr) {
      const auto table = store->Table(*inputs[i].embed, *weights.weight_input, at, bias);
      if (table.has_value()) {
        op.table = *table;
        left.begin = at;
        left.count = inputs[i].size;
        inputs.erase(inputs.begin() + static_cast<std::ptrdiff_t>(i));
        break;
      }
    }
    at += inputs[i].size;
  }
  if (op.table < 0) op.bias = store->Constant(gates, bias);
  for (const CellInput& input : inputs) {
    op.inputs.refs.push_back(input.ref);
    op.inputs.sizes.push_back(input.size);
    op.inputs.total += input.size;
  }
  HEED_RETURN_IF_ERROR(PackProducts(weights, left, joint, store, &op));
  return op;
}

}  // namespace heed
