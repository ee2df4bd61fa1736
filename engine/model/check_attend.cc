// attend in all its variants, and copy, which reads its weights.
#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/op_checker.h"

namespace heed {

using model::v1::Attend;

absl::Status OpChecker::CheckLocation(const Attend& op) const {
  if (!op.keys().empty() || !op.key_weight().empty() || op.has_scale()) {
    return place_.Invalid("SCORE_LOCATION has no keys and no scale");
  }
  if (op.query_weight().empty()) return place_.Invalid("query_weight is missing, which SCORE_LOCATION needs");
  const std::int64_t energies = std::int64_t{std::max(op.heads(), 1)} * op.slots();
  if (op.slots() < 1 || energies > kMaxVectorSize) {
    return place_.Invalid("slots is ", op.slots(), ", expected at least 1, and at most ", kMaxVectorSize,
                          " for all heads together");
  }
  if (max_source_tokens_ == 0) {
    return place_.Invalid("SCORE_LOCATION needs limits.max_source_tokens, which model.json does not set");
  }
  if (op.slots() < max_source_tokens_) {
    return place_.Invalid("slots is ", op.slots(), ", expected at least ", max_source_tokens_,
                          ", which is limits.max_source_tokens");
  }
  return absl::OkStatus();
}

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
      HEED_RETURN_IF_ERROR(CheckLocation(op));
      break;
    default:
      return place_.Invalid("score is ", op.score(), ", expected a SCORE");
  }
  switch (op.normalizer()) {
    case model::v1::NORMALIZER_UNSPECIFIED:
    case model::v1::NORMALIZER_SOFTMAX:
    case model::v1::NORMALIZER_SPARSEMAX:
      break;
    default:
      return place_.Invalid("normalizer is ", op.normalizer(), ", expected a NORMALIZER");
  }
  if (op.coverage().empty() != op.coverage_weight().empty()) {
    return place_.Invalid("coverage and coverage_weight need each other");
  }
  if (!is_additive && !op.coverage().empty()) return place_.Invalid("coverage belongs to SCORE_ADDITIVE");
  if (op.score() != model::v1::SCORE_LOCATION && op.slots() != 0)
    return place_.Invalid("slots is set, but the score is not SCORE_LOCATION");
  if (!is_additive && !(op.v().empty() && op.v_bias().empty())) {
    return place_.Invalid("v and v_bias belong to SCORE_ADDITIVE");
  }
  if (is_additive && op.has_scale()) return place_.Invalid("scale does not belong to SCORE_ADDITIVE");
  if (!std::isfinite(op.scale())) return place_.Invalid("scale is not finite");
  if (op.heads() < 0 || op.heads() > kMaxHeads) {
    return place_.Invalid("heads is ", op.heads(), ", expected 1 to ", kMaxHeads);
  }
  if (op.key_weight().empty() && !op.key_bias().empty()) return place_.Invalid("key_bias needs key_weight");
  if (op.query_weight().empty() && !op.query_bias().empty()) return place_.Invalid("query_bias needs query_weight");
  if (op.value_weight().empty() && !op.value_bias().empty()) return place_.Invalid("value_bias needs value_weight");
  return absl::OkStatus();
}

absl::Status OpChecker::CheckProjections(const Attend& op, std::int64_t query, AttendNode* node) {
  const std::int64_t memory = scope_.value(node->memory).size;
  const std::int64_t keys = node->keys < 0 ? memory : scope_.value(node->keys).size;
  HEED_ASSIGN_OR_RETURN(node->key_weight, tensors_.Optional(place_, "key_weight", op.key_weight(), {kAnySize, keys}));
  // A location score has no keys: its query is projected to the energies themselves.
  const std::int64_t key_size = op.slots() > 0                ? std::int64_t{node->heads} * op.slots()
                                : node->key_weight == nullptr ? keys
                                                              : node->key_weight->rows();
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
  node->sparsemax = op.normalizer() == model::v1::NORMALIZER_SPARSEMAX;
  node->slots = op.slots();
  if (op.score() == model::v1::SCORE_LOCATION) {
    node->score = AttendNode::Score::kLocation;
    return absl::OkStatus();
  }
  if (op.score() != model::v1::SCORE_ADDITIVE) {
    node->score = AttendNode::Score::kDot;  // general is dot with exactly one projection
    node->scale = op.has_scale() ? op.scale() : 1;
    return absl::OkStatus();
  }
  node->score = AttendNode::Score::kAdditive;
  HEED_ASSIGN_OR_RETURN(node->v, tensors_.Required(place_, "v", op.v(), {node->key_size}));
  HEED_ASSIGN_OR_RETURN(node->v_bias, tensors_.Optional(place_, "v_bias", op.v_bias(), {1}));
  if (op.coverage().empty()) return absl::OkStatus();
  HEED_ASSIGN_OR_RETURN(node->coverage, ResolvePositions("coverage", op.coverage(), node->heads));
  HEED_ASSIGN_OR_RETURN(node->coverage_weight,
                        tensors_.Required(place_, "coverage_weight", op.coverage_weight(), {node->key_size}));
  return absl::OkStatus();
}

absl::StatusOr<Ref> OpChecker::ResolvePositions(const char* field, const std::string& input, int heads) {
  HEED_ASSIGN_OR_RETURN(const Ref ref, scope_.Resolve(place_, field, input, index_));
  if (value(ref).type != ValueType::kPositions) {
    return place_.Invalid(field, " ", input, " is ", TypeName(value(ref).type), ", expected ",
                          TypeName(ValueType::kPositions));
  }
  if (value(ref).size != heads) {
    return place_.Invalid(field, " ", input, " has ", value(ref).size, " heads, expected ", heads);
  }
  return ref;
}

absl::Status OpChecker::CheckAttend(const Attend& op) {
  if (kind_ == ProgramKind::kEncoder) return place_.Invalid("attend stands only in the init and the step program");
  HEED_RETURN_IF_ERROR(CheckAttendOptions(op));
  AttendNode node;
  node.heads = op.heads() == 0 ? 1 : op.heads();
  HEED_ASSIGN_OR_RETURN(Operands query, Resolve(op.query(), 1));
  node.query = std::move(query.refs);
  HEED_ASSIGN_OR_RETURN(node.memory, ResolveSequence("memory", op.memory()));
  if (!op.keys().empty()) {
    HEED_ASSIGN_OR_RETURN(node.keys, ResolveSequence("keys", op.keys()));
  }
  HEED_RETURN_IF_ERROR(CheckProjections(op, query.total, &node));
  HEED_RETURN_IF_ERROR(CheckScore(op, &node));
  HEED_ASSIGN_OR_RETURN(node.out, Make(ValueType::kVector, node.value_size));
  HEED_ASSIGN_OR_RETURN(node.out_weights, Make(ValueType::kPositions, node.heads, ".weights"));
  HEED_ASSIGN_OR_RETURN(node.out_energies, Make(ValueType::kPositions, node.heads, ".energies"));
  nodes_.push_back(std::move(node));
  return absl::OkStatus();
}

absl::Status OpChecker::CheckCopy(const model::v1::Copy& op) {
  HEED_RETURN_IF_ERROR(OnlyIn(ProgramKind::kStep));
  CopyNode node;
  HEED_ASSIGN_OR_RETURN(const Ref generate, scope_.Resolve(place_, "generate", op.generate(), index_));
  if (value(generate).type != ValueType::kDistribution || generate.previous) {
    return place_.Invalid("generate ", op.generate(), " is not the distribution of this step's output");
  }
  node.generate = generate.value;
  HEED_ASSIGN_OR_RETURN(const Operands gate, ResolveOne("gate", op.gate()));
  if (gate.total != 1) return place_.Invalid("gate ", op.gate(), " has size ", gate.total, ", expected 1");
  node.gate = gate.refs[0];
  // Of energies, or of what was added up, a copy distribution would be no distribution.
  if (!absl::EndsWith(absl::StripSuffix(op.attention(), "'"), ".weights")) {
    return place_.Invalid("attention ", Quote(op.attention()), " is not the weights of an attend");
  }
  HEED_ASSIGN_OR_RETURN(node.attention, ResolvePositions("attention", op.attention(), 1));
  node.gate_generates = op.gate_generates();
  std::set<TokenId> masked;
  for (const std::int32_t id : op.masked_ids()) {
    if (id < 0 || id >= vocabulary_) {
      return place_.Invalid("masked_ids holds ", id, ", expected 0 to ", vocabulary_ - 1);
    }
    if (!masked.insert(id).second) return place_.Invalid("masked_ids holds ", id, " twice");
  }
  if (static_cast<std::int64_t>(masked.size()) == vocabulary_) return place_.Invalid("masked_ids leaves no id");
  node.masked.assign(masked.begin(), masked.end());
  HEED_ASSIGN_OR_RETURN(node.out, Make(ValueType::kDistribution, vocabulary_));
  nodes_.push_back(std::move(node));
  return absl::OkStatus();
}

}  // namespace heed
