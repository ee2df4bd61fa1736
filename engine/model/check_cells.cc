// Recurrences: rnn (encoder) and cell (step).
#include "absl/strings/str_cat.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/op_checker.h"

namespace heed {
namespace {

using model::v1::CellSpec;

std::int64_t BlocksOf(CellType type) {
  switch (type) {
    case CellType::kLstm:
      return 4;
    case CellType::kGru:
      return 3;
    case CellType::kRnn:
      return 1;
    case CellType::kSsru:
      return 2;
  }
  return 0;
}

}  // namespace

absl::Status OpChecker::CheckCellOptions(const CellSpec& spec) const {
  switch (spec.kind()) {
    case model::v1::CELL_KIND_LSTM:
    case model::v1::CELL_KIND_GRU:
    case model::v1::CELL_KIND_RNN:
      break;
    case model::v1::CELL_KIND_SSRU:
      return place_.Unimplemented("CELL_KIND_SSRU");
    default:
      return place_.Invalid("kind is ", spec.kind(), ", expected a CELL_KIND");
  }
  const bool is_gru = spec.kind() == model::v1::CELL_KIND_GRU;
  const bool has_reset =
      spec.gru_reset() == model::v1::GRU_RESET_AFTER || spec.gru_reset() == model::v1::GRU_RESET_BEFORE;
  if (is_gru && !has_reset) return place_.Invalid("gru_reset is missing, expected GRU_RESET_AFTER or GRU_RESET_BEFORE");
  if (!is_gru && spec.gru_reset() != model::v1::GRU_RESET_UNSPECIFIED) {
    return place_.Invalid("gru_reset is set, but the cell is no GRU");
  }
  if (spec.has_norm()) return place_.Unimplemented("norm inside a cell");
  if (spec.gate() == model::v1::FUNCTION_HARD_SIGMOID) return place_.Unimplemented("gate FUNCTION_HARD_SIGMOID");
  if (spec.gate() != model::v1::FUNCTION_UNSPECIFIED && spec.gate() != model::v1::FUNCTION_SIGMOID) {
    return place_.Invalid("gate is ", spec.gate(), ", expected FUNCTION_SIGMOID or FUNCTION_HARD_SIGMOID");
  }
  HEED_ASSIGN_OR_RETURN(const Activation function, CheckFunction(spec.function(), /*required=*/false));
  if (spec.function() != model::v1::FUNCTION_UNSPECIFIED && function != Activation::kTanh) {
    return place_.Unimplemented("function ", model::v1::Function_Name(spec.function()), " of a cell");
  }
  return absl::OkStatus();
}

absl::StatusOr<CellWeights> OpChecker::CheckCellSpec(const CellSpec& spec, std::int64_t input_size) {
  HEED_RETURN_IF_ERROR(CheckCellOptions(spec));
  CellWeights cell;
  cell.type = spec.kind() == model::v1::CELL_KIND_LSTM  ? CellType::kLstm
              : spec.kind() == model::v1::CELL_KIND_GRU ? CellType::kGru
                                                        : CellType::kRnn;
  cell.reset_before = spec.gru_reset() == model::v1::GRU_RESET_BEFORE;
  cell.input_size = static_cast<int>(input_size);

  // H is what weight_state says; everything else must agree with it.
  HEED_ASSIGN_OR_RETURN(const Tensor* any,
                        tensors_.Required(place_, "weight_state", spec.weight_state(), {kAnySize, kAnySize}));
  const std::int64_t hidden = any->columns();
  const std::int64_t rows = BlocksOf(cell.type) * hidden;
  HEED_ASSIGN_OR_RETURN(cell.weight_state,
                        tensors_.Required(place_, "weight_state", spec.weight_state(), {rows, hidden}));
  cell.hidden = static_cast<int>(hidden);
  if (input_size > 0) {
    HEED_ASSIGN_OR_RETURN(cell.weight_input,
                          tensors_.Required(place_, "weight_input", spec.weight_input(), {rows, input_size}));
  } else if (!spec.weight_input().empty()) {
    return place_.Invalid("weight_input ", Quote(spec.weight_input()), " is set, but the cell has no inputs");
  }
  HEED_ASSIGN_OR_RETURN(cell.bias_input, tensors_.Optional(place_, "bias_input", spec.bias_input(), {rows}));
  HEED_ASSIGN_OR_RETURN(cell.bias_state, tensors_.Optional(place_, "bias_state", spec.bias_state(), {rows}));
  return cell;
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
  HEED_ASSIGN_OR_RETURN(node.out, Make(ValueType::kSequence, node.cell.hidden));
  HEED_ASSIGN_OR_RETURN(node.out_h, Make(ValueType::kVector, node.cell.hidden, ".h"));
  if (node.cell.type == CellType::kLstm) {
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
  if (node.cell.type == CellType::kLstm) {
    const bool primed = state.back() == '\'';
    const std::string name = primed ? state.substr(0, state.size() - 1) : state;
    if (scope_.Find(name + ".c") < 0) {
      return place_.Invalid("state ", Quote(state), " has no part c, which an LSTM needs");
    }
    HEED_ASSIGN_OR_RETURN(node.state_c, resolve(name + (primed ? ".c'" : ".c")));
  }
  HEED_ASSIGN_OR_RETURN(node.out_h, Make(ValueType::kVector, node.cell.hidden));
  if (node.cell.type == CellType::kLstm) {
    HEED_ASSIGN_OR_RETURN(node.out_c, Make(ValueType::kVector, node.cell.hidden, ".c"));
  }
  nodes_.push_back(std::move(node));
  return absl::OkStatus();
}

}  // namespace heed
