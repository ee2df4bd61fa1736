// Every op but the recurrences and attend, and what the checks share.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/model/op_checker.h"

namespace heed {

using model::v1::Op;

absl::Status OpChecker::Check(const Op& op, int index) {
  place_ = PlaceOf(kind_, op);
  name_ = op.name();
  index_ = index;
  switch (op.op_case()) {
    case Op::kEmbed:
      return CheckEmbed(op.embed());
    case Op::kRnn:
      return CheckRnn(op.rnn());
    case Op::kCell:
      return CheckCell(op.cell());
    case Op::kAttend:
      return CheckAttend(op.attend());
    case Op::kLinear:
      return CheckLinear(op.linear());
    case Op::kActivation:
      return CheckActivation(op.activation());
    case Op::kConcat:
      return CheckConcat(op.concat());
    case Op::kAdd:
      return CheckAdd(op.add());
    case Op::kLayerNorm:
      return CheckLayerNorm(op.layer_norm());
    case Op::kPool:
      return CheckPool(op.pool());
    case Op::kOutput:
      return CheckOutput(op.output());
    case Op::kSlice:
      return CheckSlice(op.slice());
    case Op::kMul:
      return CheckMul(op.mul());
    case Op::kLerp:
      return CheckLerp(op.lerp());
    case Op::kMaxout:
      return CheckMaxout(op.maxout());
    case Op::kPosition:
      return CheckPosition(op.position());
    case Op::kSelfAttend:
      return CheckSelfAttend(op.self_attend());
    case Op::kCopy:
      return CheckCopy(op.copy());
    case Op::OP_NOT_SET:
      break;
  }
  return place_.Invalid("holds no op");
}

absl::Status OpChecker::OnlyIn(ProgramKind kind) const {
  if (kind == kind_) return absl::OkStatus();
  return place_.Invalid("this op stands only in the ", ProgramName(kind), " program");
}

absl::StatusOr<int> OpChecker::Make(ValueType type, std::int64_t size, const char* part) {
  const int index = scope_.Find(absl::StrCat(name_, part));
  HEED_RETURN_IF_ERROR(scope_.Define(place_, index, type, size));
  return index;
}

absl::Status OpChecker::CheckOperand(const char* field, const std::string& input, const Ref& ref,
                                     bool positions) const {
  const ValueType type = value(ref).type;
  if (type == ValueType::kVector || (type == ValueType::kPositions && positions)) return absl::OkStatus();
  if (type == ValueType::kSequence && kind_ == ProgramKind::kEncoder) return absl::OkStatus();
  return place_.Invalid(field, " ", input, " is ", TypeName(type), ", expected a vector");
}

absl::StatusOr<OpChecker::Operands> OpChecker::Resolve(const Inputs& inputs, int least, bool positions) {
  if (inputs.size() < least) {
    return place_.Invalid("has ", inputs.size(), " inputs, expected at least ", least);
  }
  Operands operands;
  for (const std::string& input : inputs) {
    HEED_ASSIGN_OR_RETURN(const Ref ref, scope_.Resolve(place_, "input", input, index_));
    HEED_RETURN_IF_ERROR(CheckOperand("input", input, ref, positions));
    if (operands.refs.empty()) operands.type = value(ref).type;
    if (value(ref).type != operands.type) {
      return place_.Invalid("input ", input, " is ", TypeName(value(ref).type), ", the ones before it are not");
    }
    operands.refs.push_back(ref);
    operands.total += value(ref).size;
  }
  if (operands.total > kMaxVectorSize) {
    return place_.Invalid("the inputs' sizes sum to ", operands.total, ", more than the bound of ", kMaxVectorSize);
  }
  return operands;
}

absl::StatusOr<OpChecker::Operands> OpChecker::ResolveOne(const char* field, const std::string& input, bool positions) {
  Operands operands;
  HEED_ASSIGN_OR_RETURN(const Ref ref, scope_.Resolve(place_, field, input, index_));
  HEED_RETURN_IF_ERROR(CheckOperand(field, input, ref, positions));
  operands.refs = {ref};
  operands.type = value(ref).type;
  operands.total = value(ref).size;
  return operands;
}

absl::StatusOr<OpChecker::Operands> OpChecker::ResolveAlike(const Inputs& inputs, int least) {
  HEED_ASSIGN_OR_RETURN(Operands operands, Resolve(inputs, least, /*positions=*/true));
  const int size = value(operands.refs[0]).size;
  for (std::size_t i = 1; i < operands.refs.size(); ++i) {
    if (value(operands.refs[i]).size != size) {
      return place_.Invalid("input ", inputs[static_cast<int>(i)], " has size ", value(operands.refs[i]).size,
                            ", expected ", size, " as ", inputs[0], " has");
    }
  }
  operands.total = size;
  return operands;
}

absl::StatusOr<int> OpChecker::ResolveSequence(const char* field, const std::string& input) {
  HEED_ASSIGN_OR_RETURN(const Ref ref, scope_.Resolve(place_, field, input, index_));
  if (value(ref).type != ValueType::kSequence) {
    return place_.Invalid(field, " ", input, " is ", TypeName(value(ref).type), ", expected a sequence");
  }
  return ref.value;
}

absl::StatusOr<Activation> OpChecker::CheckFunction(model::v1::Function function, bool required) const {
  switch (function) {
    case model::v1::FUNCTION_UNSPECIFIED:
      if (required) return place_.Invalid("function is missing");
      return Activation::kIdentity;
    case model::v1::FUNCTION_IDENTITY:
      return Activation::kIdentity;
    case model::v1::FUNCTION_TANH:
      return Activation::kTanh;
    case model::v1::FUNCTION_SIGMOID:
      return Activation::kSigmoid;
    case model::v1::FUNCTION_RELU:
      return Activation::kRelu;
    case model::v1::FUNCTION_HARD_SIGMOID:
      return Activation::kHardSigmoid;
    case model::v1::FUNCTION_HARD_SIGMOID_SIXTH:
      return Activation::kHardSigmoidSixth;
    default:
      return place_.Invalid("function is ", function, ", expected a FUNCTION");
  }
}

absl::Status OpChecker::CheckEmbed(const model::v1::Embed& op) {
  if (kind_ == ProgramKind::kInit) return place_.Invalid("embed stands only in the encoder and the step program");
  EmbedNode node;
  HEED_ASSIGN_OR_RETURN(node.table, tensors_.Required(place_, "table", op.table(), {vocabulary_, kAnySize}));
  node.scale = op.has_scale() ? op.scale() : 1;
  if (!std::isfinite(node.scale)) return place_.Invalid("scale is not finite");
  const ValueType type = kind_ == ProgramKind::kEncoder ? ValueType::kSequence : ValueType::kVector;
  HEED_ASSIGN_OR_RETURN(node.out, Make(type, node.table->columns()));
  nodes_.push_back(node);
  return absl::OkStatus();
}

absl::Status OpChecker::CheckLinear(const model::v1::Linear& op) {
  LinearNode node;
  HEED_ASSIGN_OR_RETURN(Operands inputs, Resolve(op.inputs(), 1));
  HEED_ASSIGN_OR_RETURN(node.weight, tensors_.Required(place_, "weight", op.weight(), {kAnySize, inputs.total}));
  HEED_ASSIGN_OR_RETURN(node.bias, tensors_.Optional(place_, "bias", op.bias(), {node.weight->rows()}));
  HEED_ASSIGN_OR_RETURN(node.function, CheckFunction(op.function(), /*required=*/false));
  HEED_ASSIGN_OR_RETURN(node.out, Make(inputs.type, node.weight->rows()));
  node.inputs = std::move(inputs.refs);
  nodes_.push_back(std::move(node));
  return absl::OkStatus();
}

absl::Status OpChecker::CheckActivation(const model::v1::Activation& op) {
  ActivationNode node;
  HEED_ASSIGN_OR_RETURN(const Operands input, ResolveOne("input", op.input(), /*positions=*/true));
  HEED_ASSIGN_OR_RETURN(node.function, CheckFunction(op.function(), /*required=*/true));
  node.input = input.refs[0];
  HEED_ASSIGN_OR_RETURN(node.out, Make(input.type, input.total));
  nodes_.push_back(node);
  return absl::OkStatus();
}

absl::Status OpChecker::CheckConcat(const model::v1::Concat& op) {
  ConcatNode node;
  HEED_ASSIGN_OR_RETURN(Operands inputs, Resolve(op.inputs(), 1));
  node.inputs = std::move(inputs.refs);
  HEED_ASSIGN_OR_RETURN(node.out, Make(inputs.type, inputs.total));
  nodes_.push_back(std::move(node));
  return absl::OkStatus();
}

absl::Status OpChecker::CheckAdd(const model::v1::Add& op) {
  AddNode node;
  HEED_ASSIGN_OR_RETURN(Operands inputs, ResolveAlike(op.inputs(), 2));
  node.inputs = std::move(inputs.refs);
  HEED_ASSIGN_OR_RETURN(node.out, Make(inputs.type, inputs.total));
  nodes_.push_back(std::move(node));
  return absl::OkStatus();
}

absl::Status OpChecker::CheckMul(const model::v1::Mul& op) {
  MulNode node;
  if (op.inputs_size() != 2) return place_.Invalid("has ", op.inputs_size(), " inputs, expected 2");
  HEED_ASSIGN_OR_RETURN(Operands inputs, ResolveAlike(op.inputs(), 2));
  node.inputs = std::move(inputs.refs);
  HEED_ASSIGN_OR_RETURN(node.out, Make(inputs.type, inputs.total));
  nodes_.push_back(std::move(node));
  return absl::OkStatus();
}

absl::Status OpChecker::CheckLerp(const model::v1::Lerp& op) {
  LerpNode node;
  Inputs all;
  for (const std::string* input : {&op.gate(), &op.a(), &op.b()}) *all.Add() = *input;
  HEED_ASSIGN_OR_RETURN(const Operands inputs, ResolveAlike(all, 3));
  node.gate = inputs.refs[0];
  node.a = inputs.refs[1];
  node.b = inputs.refs[2];
  HEED_ASSIGN_OR_RETURN(node.out, Make(inputs.type, inputs.total));
  nodes_.push_back(node);
  return absl::OkStatus();
}

absl::Status OpChecker::CheckLayerNorm(const model::v1::LayerNorm& op) {
  LayerNormNode node;
  HEED_ASSIGN_OR_RETURN(const Operands input, ResolveOne("input", op.input()));
  HEED_ASSIGN_OR_RETURN(node.scale, tensors_.Required(place_, "scale", op.scale(), {input.total}));
  HEED_ASSIGN_OR_RETURN(node.bias, tensors_.Optional(place_, "bias", op.bias(), {input.total}));
  if (!(op.epsilon() > 0) || !std::isfinite(op.epsilon())) {
    return place_.Invalid("epsilon is ", op.epsilon(), ", expected above 0");
  }
  node.input = input.refs[0];
  node.epsilon = op.epsilon();
  HEED_ASSIGN_OR_RETURN(node.out, Make(input.type, input.total));
  nodes_.push_back(node);
  return absl::OkStatus();
}

absl::Status OpChecker::CheckPool(const model::v1::Pool& op) {
  if (kind_ == ProgramKind::kStep) return place_.Invalid("pool stands only in the encoder and the init program");
  PoolNode node;
  HEED_ASSIGN_OR_RETURN(node.input, ResolveSequence("input", op.input()));
  switch (op.pooling()) {
    case model::v1::POOLING_FIRST:
      node.kind = PoolNode::Kind::kFirst;
      break;
    case model::v1::POOLING_LAST:
      node.kind = PoolNode::Kind::kLast;
      break;
    case model::v1::POOLING_MEAN:
      node.kind = PoolNode::Kind::kMean;
      break;
    default:
      return place_.Invalid("pooling is ", op.pooling(), ", expected a POOLING");
  }
  HEED_ASSIGN_OR_RETURN(node.out, Make(ValueType::kVector, scope_.value(node.input).size));
  nodes_.push_back(node);
  return absl::OkStatus();
}

absl::Status OpChecker::CheckSlice(const model::v1::Slice& op) {
  SliceNode node;
  HEED_ASSIGN_OR_RETURN(const Operands input, ResolveOne("input", op.input()));
  if (op.begin() < 0 || op.begin() >= op.end() || op.end() > input.total) {
    return place_.Invalid("[", op.begin(), ",", op.end(), ") is no part of ", op.input(), ", which has size ",
                          input.total);
  }
  node.input = input.refs[0];
  node.begin = op.begin();
  node.end = op.end();
  HEED_ASSIGN_OR_RETURN(node.out, Make(input.type, std::int64_t{op.end()} - op.begin()));
  nodes_.push_back(node);
  return absl::OkStatus();
}

absl::Status OpChecker::CheckMaxout(const model::v1::Maxout& op) {
  MaxoutNode node;
  HEED_ASSIGN_OR_RETURN(const Operands input, ResolveOne("input", op.input()));
  if (op.group() < 1 || input.total % op.group() != 0) {
    return place_.Invalid("group is ", op.group(), ", which does not divide ", op.input(), "'s size ", input.total);
  }
  node.input = input.refs[0];
  node.group = op.group();
  HEED_ASSIGN_OR_RETURN(node.out, Make(input.type, input.total / op.group()));
  nodes_.push_back(node);
  return absl::OkStatus();
}

absl::Status OpChecker::CheckPosition(const model::v1::Position& op) {
  if (kind_ == ProgramKind::kInit) return place_.Invalid("position stands only in the encoder and the step program");
  PositionNode node;
  HEED_ASSIGN_OR_RETURN(const Operands input, ResolveOne("input", op.input()));
  if (kind_ == ProgramKind::kEncoder && input.type != ValueType::kSequence) {
    return place_.Invalid("input ", op.input(), " is a vector, which has no position in the encoder");
  }
  if (input.total % 2 != 0 || input.total < 4) {
    return place_.Invalid("input ", op.input(), " has size ", input.total, ", expected an even one of at least 4");
  }
  node.input = input.refs[0];
  HEED_ASSIGN_OR_RETURN(node.out, Make(input.type, input.total));
  nodes_.push_back(node);
  return absl::OkStatus();
}

absl::Status OpChecker::CheckSelfAttend(const model::v1::SelfAttend& op) {
  HEED_RETURN_IF_ERROR(OnlyIn(ProgramKind::kEncoder));
  SelfAttendNode node;
  HEED_ASSIGN_OR_RETURN(node.input, ResolveSequence("input", op.input()));
  const std::int64_t n = scope_.value(node.input).size;
  if (op.heads() < 0 || op.heads() > kMaxHeads) {
    return place_.Invalid("heads is ", op.heads(), ", expected 1 to ", kMaxHeads);
  }
  node.heads = op.heads() == 0 ? 1 : op.heads();
  if (n % node.heads != 0) {
    return place_.Invalid("heads is ", node.heads, ", which does not divide ", op.input(), "'s size ", n);
  }
  struct Projection {
    const char *weight_field, *bias_field;
    const std::string &weight_name, &bias_name;
    const Tensor *&weight, *&bias;
  };
  for (const Projection& p : {
           Projection{"query_weight", "query_bias", op.query_weight(), op.query_bias(), node.query_weight,
                      node.query_bias},
           Projection{"key_weight", "key_bias", op.key_weight(), op.key_bias(), node.key_weight, node.key_bias},
           Projection{"value_weight", "value_bias", op.value_weight(), op.value_bias(), node.value_weight,
                      node.value_bias},
           Projection{"output_weight", "output_bias", op.output_weight(), op.output_bias(), node.output_weight,
                      node.output_bias},
       }) {
    HEED_ASSIGN_OR_RETURN(p.weight, tensors_.Required(place_, p.weight_field, p.weight_name, {n, n}));
    HEED_ASSIGN_OR_RETURN(p.bias, tensors_.Optional(place_, p.bias_field, p.bias_name, {n}));
  }
  HEED_ASSIGN_OR_RETURN(node.out, Make(ValueType::kSequence, n));
  nodes_.push_back(node);
  return absl::OkStatus();
}

absl::Status OpChecker::CheckOutput(const model::v1::Output& op) {
  HEED_RETURN_IF_ERROR(OnlyIn(ProgramKind::kStep));
  OutputNode node;
  HEED_ASSIGN_OR_RETURN(Operands inputs, Resolve(op.inputs(), 1));
  HEED_ASSIGN_OR_RETURN(node.weight, tensors_.Required(place_, "weight", op.weight(), {vocabulary_, inputs.total}));
  HEED_ASSIGN_OR_RETURN(node.bias, tensors_.Optional(place_, "bias", op.bias(), {vocabulary_}));
  HEED_ASSIGN_OR_RETURN(node.out, Make(ValueType::kDistribution, vocabulary_));
  node.inputs = std::move(inputs.refs);
  nodes_.push_back(std::move(node));
  return absl::OkStatus();
}

}  // namespace heed
