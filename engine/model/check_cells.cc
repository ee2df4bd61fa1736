// Recurrences: rnn (encoder) and cell (step).
#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/op_checker.h"

namespace heed {
namespace {

using model::v1::CellNorm;
using model::v1::CellSpec;

bool HasC(CellType type) { return type == CellType::kLstm || type == CellType::kSsru; }

}  // namespace

absl::Status OpChecker::CheckCellOptions(const CellSpec& spec, CellWeights* cell) const {
  switch (spec.kind()) {
    case model::v1::CELL_KIND_LSTM:
      cell->type = CellType::kLstm;
      break;
    case model::v1::CELL_KIND_GRU:
      cell->type = CellType::kGru;
      break;
    case model::v1::CELL_KIND_RNN:
      cell->type = CellType::kRnn;
      break;
    case model::v1::CELL_KIND_SSRU:
      cell->type = CellType::kSsru;
      break;
    default:
      return place_.Invalid("kind is ", spec.kind(), ", expected a CELL_KIND");
  }
  const bool is_gru = cell->type == CellType::kGru;
  const bool has_reset =
      spec.gru_reset() == model::v1::GRU_RESET_AFTER || spec.gru_reset() == model::v1::GRU_RESET_BEFORE;
  if (is_gru && !has_reset) return place_.Invalid("gru_reset is missing, expected GRU_RESET_AFTER or GRU_RESET_BEFORE");
  if (!is_gru && spec.gru_reset() != model::v1::GRU_RESET_UNSPECIFIED) {
    return place_.Invalid("gru_reset is set, but the cell is no GRU");
  }
  cell->reset_before = spec.gru_reset() == model::v1::GRU_RESET_BEFORE;
  switch (spec.gate()) {
    case model::v1::FUNCTION_UNSPECIFIED:
    case model::v1::FUNCTION_SIGMOID:
      cell->gate = Activation::kSigmoid;
      break;
    case model::v1::FUNCTION_HARD_SIGMOID:
      cell->gate = Activation::kHardSigmoid;
      break;
    case model::v1::FUNCTION_HARD_SIGMOID_SIXTH:
      cell->gate = Activation::kHardSigmoidSixth;
      break;
    default:
      return place_.Invalid("gate is ", spec.gate(),
                            ", expected FUNCTION_SIGMOID, FUNCTION_HARD_SIGMOID or FUNCTION_HARD_SIGMOID_SIXTH");
  }
  HEED_ASSIGN_OR_RETURN(cell->function, CheckFunction(spec.function(), /*required=*/false));
  if (spec.function() == model::v1::FUNCTION_UNSPECIFIED) {
    cell->function = cell->type == CellType::kSsru ? Activation::kRelu : Activation::kTanh;
  }
  return absl::OkStatus();
}

// The state's side of a cell; H is what weight_state says, for SSRU, which has none, half of weight_input's rows.
absl::Status OpChecker::CheckCellState(const CellSpec& spec, CellWeights* cell) {
  if (cell->type == CellType::kSsru) {
    if (!spec.weight_state().empty()) return place_.Invalid("weight_state is set, but an SSRU has none");
    if (!spec.bias_state().empty()) return place_.Invalid("bias_state is set, but an SSRU has none");
    if (cell->input_size == 0) return place_.Invalid("has no input, which an SSRU needs");
    HEED_ASSIGN_OR_RETURN(const Tensor* any,
                          tensors_.Required(place_, "weight_input", spec.weight_input(), {kAnySize, cell->input_size}));
    if (any->rows() % 2 != 0) {
      return place_.Invalid("weight_input ", any->name, " has ", any->rows(), " rows, expected 2 blocks, f and x");
    }
    cell->hidden = static_cast<int>(any->rows() / 2);
    return absl::OkStatus();
  }
  HEED_ASSIGN_OR_RETURN(const Tensor* any,
                        tensors_.Required(place_, "weight_state", spec.weight_state(), {kAnySize, kAnySize}));
  cell->hidden = static_cast<int>(any->columns());
  const std::int64_t rows = GateBlocks(cell->type) * cell->hidden;
  HEED_ASSIGN_OR_RETURN(cell->weight_state,
                        tensors_.Required(place_, "weight_state", spec.weight_state(), {rows, cell->hidden}));
  HEED_ASSIGN_OR_RETURN(cell->bias_state, tensors_.Optional(place_, "bias_state", spec.bias_state(), {rows}));
  return absl::OkStatus();
}

absl::StatusOr<CellWeights> OpChecker::CheckCellSpec(const CellSpec& spec, std::int64_t input_size) {
  CellWeights cell;
  HEED_RETURN_IF_ERROR(CheckCellOptions(spec, &cell));
  cell.input_size = static_cast<int>(input_size);
  HEED_RETURN_IF_ERROR(CheckCellState(spec, &cell));
  const std::int64_t rows = GateBlocks(cell.type) * cell.hidden;
  if (input_size > 0) {
    HEED_ASSIGN_OR_RETURN(cell.weight_input,
                          tensors_.Required(place_, "weight_input", spec.weight_input(), {rows, input_size}));
  } else if (!spec.weight_input().empty()) {
    return place_.Invalid("weight_input ", Quote(spec.weight_input()), " is set, but the cell has no inputs");
  }
  HEED_ASSIGN_OR_RETURN(cell.bias_input, tensors_.Optional(place_, "bias_input", spec.bias_input(), {rows}));
  if (spec.has_norm()) HEED_RETURN_IF_ERROR(CheckCellNorm(spec.norm(), rows, &cell));
  return cell;
}

// What is normalised: the inputs' and the state's products apart, or their sum; without an input the state's alone, of
// an SSRU the inputs' alone.
absl::Status OpChecker::CheckCellNorm(const CellNorm& norm, std::int64_t rows, CellWeights* cell) {
  CellNormWeights& out = cell->norm;
  out.on = true;
  switch (norm.groups()) {
    case model::v1::NORM_GROUPS_ALL:
      out.groups = CellNormWeights::Groups::kAll;
      break;
    case model::v1::NORM_GROUPS_BLOCKS:
      out.groups = CellNormWeights::Groups::kBlocks;
      break;
    case model::v1::NORM_GROUPS_GATES:
      if (cell->type != CellType::kGru) return place_.Invalid("norm: NORM_GROUPS_GATES, but the cell is no GRU");
      out.groups = CellNormWeights::Groups::kGates;
      break;
    default:
      return place_.Invalid("norm: groups is ", norm.groups(), ", expected a NORM_GROUPS");
  }
  if (!(norm.epsilon() > 0) || !std::isfinite(norm.epsilon())) {
    return place_.Invalid("norm: epsilon is ", norm.epsilon(), ", expected above 0");
  }
  out.epsilon = norm.epsilon();

  const bool has_input = cell->input_size > 0;
  if (!has_input && !(norm.input_scale().empty() && norm.input_bias().empty())) {
    return place_.Invalid("norm: input_scale and input_bias belong to inputs, and the cell has none");
  }
  const bool is_ssru = cell->type == CellType::kSsru;
  if (is_ssru && !(norm.state_scale().empty() && norm.state_bias().empty())) {
    return place_.Invalid("norm: state_scale and state_bias belong to a state's product, and an SSRU has none");
  }
  if (cell->type == CellType::kGru && norm.state_scale().empty()) {
    return place_.Invalid("norm: state_scale is missing: a GRU's sum is not normalised");
  }
  if (norm.state_scale().empty() && !norm.state_bias().empty()) {
    return place_.Invalid("norm: state_bias needs state_scale");
  }
  if (has_input) {
    HEED_ASSIGN_OR_RETURN(out.input_scale, tensors_.Required(place_, "norm.input_scale", norm.input_scale(), {rows}));
  }
  HEED_ASSIGN_OR_RETURN(out.input_bias, tensors_.Optional(place_, "norm.input_bias", norm.input_bias(), {rows}));
  if (!has_input || !norm.state_scale().empty()) {
    HEED_ASSIGN_OR_RETURN(out.state_scale, tensors_.Required(place_, "norm.state_scale", norm.state_scale(), {rows}));
  }
  HEED_ASSIGN_OR_RETURN(out.state_bias, tensors_.Optional(place_, "norm.state_bias", norm.state_bias(), {rows}));
  if (cell->type != CellType::kLstm && !(norm.cell_scale().empty() && norm.cell_bias().empty())) {
    return place_.Invalid("norm: cell_scale and cell_bias belong to an LSTM");
  }
  if (norm.cell_scale().empty() && !norm.cell_bias().empty()) {
    return place_.Invalid("norm: cell_bias needs cell_scale");
  }
  if (norm.cell_scale().empty() && norm.cell_carried()) {
    return place_.Invalid("norm: cell_carried needs cell_scale");
  }
  out.cell_carried = norm.cell_carried();
  HEED_ASSIGN_OR_RETURN(out.cell_scale,
                        tensors_.Optional(place_, "norm.cell_scale", norm.cell_scale(), {cell->hidden}));
  HEED_ASSIGN_OR_RETURN(out.cell_bias, tensors_.Optional(place_, "norm.cell_bias", norm.cell_bias(), {cell->hidden}));
  return absl::OkStatus();
}

absl::Status OpChecker::CheckTransitions(const model::v1::Rnn& op, RnnNode* node) {
  constexpr int kMaxTransitions = 64;
  if (op.transitions_size() > kMaxTransitions) {
    return place_.Invalid(op.transitions_size(), " transitions, more than the bound of ", kMaxTransitions);
  }
  for (int i = 0; i < op.transitions_size(); ++i) {
    const Place whole = place_;
    place_ = whole.Part(absl::StrCat("transitions ", i + 1));
    const CellSpec& spec = op.transitions(i);
    if (spec.kind() != op.cell().kind()) {
      return place_.Invalid("kind is ", model::v1::CellKind_Name(spec.kind()), ", expected ",
                            model::v1::CellKind_Name(op.cell().kind()), " as the cell's");
    }
    HEED_ASSIGN_OR_RETURN(CellWeights cell, CheckCellSpec(spec, 0));
    if (cell.hidden != node->cell.hidden) {
      return place_.Invalid("has a state of size ", cell.hidden, ", expected ", node->cell.hidden, " as the cell's");
    }
    node->transitions.push_back(cell);
    place_ = whole;
  }
  return absl::OkStatus();
}

absl::Status OpChecker::CheckRnn(const model::v1::Rnn& op) {
  HEED_RETURN_IF_ERROR(OnlyIn(ProgramKind::kEncoder));
  RnnNode node;
  HEED_ASSIGN_OR_RETURN(node.input, ResolveSequence("input", op.input()));
  if (op.direction() != model::v1::DIRECTION_FORWARD && op.direction() != model::v1::DIRECTION_BACKWARD) {
    return place_.Invalid("direction is ", op.direction(), ", expected DIRECTION_FORWARD or DIRECTION_BACKWARD");
  }
  node.backward = op.direction() == model::v1::DIRECTION_BACKWARD;
  HEED_ASSIGN_OR_RETURN(node.cell, CheckCellSpec(op.cell(), scope_.value(node.input).size));
  HEED_RETURN_IF_ERROR(CheckTransitions(op, &node));
  HEED_ASSIGN_OR_RETURN(node.out, Make(ValueType::kSequence, node.cell.hidden));
  HEED_ASSIGN_OR_RETURN(node.out_h, Make(ValueType::kVector, node.cell.hidden, ".h"));
  if (HasC(node.cell.type)) {
    HEED_ASSIGN_OR_RETURN(node.out_c, Make(ValueType::kVector, node.cell.hidden, ".c"));
  }
  nodes_.push_back(node);
  return absl::OkStatus();
}

absl::Status OpChecker::CheckCell(const model::v1::Cell& op) {
  HEED_RETURN_IF_ERROR(OnlyIn(ProgramKind::kStep));
  CellNode node;
  HEED_ASSIGN_OR_RETURN(Operands inputs, Resolve(op.inputs(), 0));
  node.inputs = std::move(inputs.refs);
  HEED_ASSIGN_OR_RETURN(node.cell, CheckCellSpec(op.cell(), inputs.total));

  const std::string state = op.state().empty() ? name_ + "'" : op.state();
  const auto resolve = [&](const std::string& reference) -> absl::StatusOr<Ref> {
    HEED_ASSIGN_OR_RETURN(const Ref ref, scope_.Resolve(place_, "state", reference, index_));
    HEED_RETURN_IF_ERROR(CheckOperand("state", reference, ref));
    if (value(ref).size != node.cell.hidden) {
      return place_.Invalid("state ", reference, " has size ", value(ref).size, ", expected ", node.cell.hidden);
    }
    return ref;
  };
  HEED_ASSIGN_OR_RETURN(node.state_h, resolve(state));
  if (HasC(node.cell.type)) {
    const bool primed = state.back() == '\'';
    const std::string name = primed ? state.substr(0, state.size() - 1) : state;
    if (scope_.Find(name + ".c") < 0) {
      return place_.Invalid("state ", Quote(state), " has no part c, which an LSTM and an SSRU need");
    }
    HEED_ASSIGN_OR_RETURN(node.state_c, resolve(name + (primed ? ".c'" : ".c")));
  }
  HEED_ASSIGN_OR_RETURN(node.out_h, Make(ValueType::kVector, node.cell.hidden));
  if (HasC(node.cell.type)) {
    HEED_ASSIGN_OR_RETURN(node.out_c, Make(ValueType::kVector, node.cell.hidden, ".c"));
  }
  nodes_.push_back(std::move(node));
  return absl::OkStatus();
}

}  // namespace heed
