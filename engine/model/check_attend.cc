// attend: dot, general and additive scores.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/model/op_checker.h"

namespace heed {

using model::v1::Attend;

absl::Status OpChecker::CheckAttendOptions(const Attend& op) const {
  const bool is_additive = op.score() == model::v1::SCORE_ADDITIVE;
  switch (op.score()) {
    case model::v1::SCORE_DOT:
    case model::v1::SCORE_ADDITIVE:
      break;
    case model::v1::SCORE_GENERAL:
      if (op.key_weight().empty() == op.query_weight().empty()) {
        return place_.Invalid("SCORE_GENERAL takes exactly one of key_weight and query_weight");
      }
      break;
    case model::v1::SCORE_LOCATION:
      return place_.Unimplemented("SCORE_LOCATION");
    default:
      return place_.Invalid("score is ", op.score(), ", expected a SCORE");
  }
  switch (op.normalizer()) {
    case model::v1::NORMALIZER_UNSPECIFIED:
    case model::v1::NORMALIZER_SOFTMAX:
      break;
    case model::v1::NORMALIZER_SPARSEMAX:
      return place_.Unimplemented("NORMALIZER_SPARSEMAX");
    default:
      return place_.Invalid("normalizer is ", op.normalizer(), ", expected a NORMALIZER");
  }
  if (!op.coverage().empty() || !op.coverage_weight().empty()) return place_.Unimplemented("coverage");
  if (op.slots() != 0) return place_.Invalid("slots is set, but the score is not SCORE_LOCATION");
  if (!is_additive && !(op.v().empty() && op.v_bias().empty())) {
    return place_.Invalid("v and v_bias belong to SCORE_ADDITIVE");
  }
  if (is_additive && op.has_scale()) return place_.Invalid("scale does not belong to SCORE_ADDITIVE");
  if (!std::isfinite(op.scale())) return place_.Invalid("scale is not finite");
  if (op.heads() < 0) return place_.Invalid("heads is ", op.heads(), ", expected at least 1");
  if (op.key_weight().empty() && !op.key_bias().empty()) return place_.Invalid("key_bias needs key_weight");
  if (op.query_weight().empty() && !op.query_bias().empty()) return place_.Invalid("query_bias needs query_weight");
  if (op.value_weight().empty() && !op.value_bias().empty()) return place_.Invalid("value_bias needs value_weight");
  return absl::OkStatus();
}

absl::Status OpChecker::CheckProjections(const Attend& op, std::int64_t query, std::int64_t memory, AttendNode* node) {
  HEED_ASSIGN_OR_RETURN(node->key_weight, tensors_.Optional(place_, "key_weight", op.key_weight(), {kAnySize, memory}));
  const std::int64_t key_size = node->key_weight == nullptr ? memory : node->key_weight->rows();
  HEED_ASSIGN_OR_RETURN(node->key_bias, tensors_.Optional(place_, "key_bias", op.key_bias(), {key_size}));
  HEED_ASSIGN_OR_RETURN(node->query_weight,
                        tensors_.Optional(place_, "query_weight", op.query_weight(), {key_size, query}));
  HEED_ASSIGN_OR_RETURN(node->query_bias, tensors_.Optional(place_, "query_bias", op.query_bias(), {key_size}));
  if (node->query_weight == nullptr && query != key_size) {
    return place_.Invalid("query has size ", query, ", expected ", key_size, ", the size of the keys");
  }
  HEED_ASSIGN_OR_RETURN(node->value_weight,
                        tensors_.Optional(place_, "value_weight", op.value_weight(), {kAnySize, memory}));
  const std::int64_t value_size = node->value_weight == nullptr ? memory : node->value_weight->rows();
  HEED_ASSIGN_OR_RETURN(node->value_bias, tensors_.Optional(place_, "value_bias", op.value_bias(), {value_size}));
  if (key_size % node->heads != 0 || value_size % node->heads != 0) {
    return place_.Invalid("heads is ", node->heads, ", which does not divide both the keys' size ", key_size,
                          " and the values' ", value_size);
  }
  node->key_size = static_cast<int>(key_size);
  node->value_size = static_cast<int>(value_size);
  return absl::OkStatus();
}

absl::Status OpChecker::CheckScore(const Attend& op, AttendNode* node) {
  if (op.score() != model::v1::SCORE_ADDITIVE) {
    node->score = AttendNode::Score::kDot;  // general is dot with exactly one projection
    node->scale = op.has_scale() ? op.scale() : 1;
    return absl::OkStatus();
  }
  node->score = AttendNode::Score::kAdditive;
  HEED_ASSIGN_OR_RETURN(node->v, tensors_.Required(place_, "v", op.v(), {node->key_size}));
  HEED_ASSIGN_OR_RETURN(node->v_bias, tensors_.Optional(place_, "v_bias", op.v_bias(), {1}));
  return absl::OkStatus();
}

absl::Status OpChecker::CheckAttend(const Attend& op) {
  if (kind_ == ProgramKind::kInit) return place_.Unimplemented("attend in the init program");
  HEED_RETURN_IF_ERROR(OnlyIn(ProgramKind::kStep));
  HEED_RETURN_IF_ERROR(CheckAttendOptions(op));
  AttendNode node;
  node.heads = op.heads() == 0 ? 1 : op.heads();
  HEED_ASSIGN_OR_RETURN(Operands query, Resolve(op.query(), 1));
  node.query = std::move(query.refs);
  HEED_ASSIGN_OR_RETURN(node.memory, ResolveSequence("memory", op.memory()));
  HEED_RETURN_IF_ERROR(CheckProjections(op, query.total, scope_.value(node.memory).size, &node));
  HEED_RETURN_IF_ERROR(CheckScore(op, &node));
  HEED_ASSIGN_OR_RETURN(node.out, Make(ValueType::kVector, node.value_size));
  HEED_ASSIGN_OR_RETURN(node.out_weights, Make(ValueType::kPositions, node.heads, ".weights"));
  HEED_ASSIGN_OR_RETURN(node.out_energies, Make(ValueType::kPositions, node.heads, ".energies"));
  nodes_.push_back(std::move(node));
  return absl::OkStatus();
}

}  // namespace heed
