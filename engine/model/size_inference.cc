#include "engine/model/size_inference.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/strip.h"
#include "engine/base/status_macros.h"

namespace heed {
namespace {

using model::v1::Op;

// What an op reads, as value numbers; -1 where a reference means nothing.
std::vector<int> ResolveAll(const Op& op, const Scope& scope) {
  std::vector<int> values;
  for (const std::string& reference : ReferencesOf(op)) {
    values.push_back(scope.Find(std::string(absl::StripSuffix(reference, "'"))));
  }
  return values;
}

std::int64_t SizeOf(const Scope& scope, int value) { return value < 0 ? 0 : scope.value(value).size; }

// The tensor that fixes the size of an op's values by its rows or columns.
struct SizeTensor {
  const char* field = nullptr;  // null: none does, the inputs do
  std::string name;
  bool by_rows = true;
  int blocks = 1;  // of rows, each of the value's size
};

SizeTensor SizeTensorOf(const Op& op) {
  switch (op.op_case()) {
    case Op::kEmbed:
      return {.field = "table", .name = op.embed().table(), .by_rows = false};
    case Op::kCell:
      if (op.cell().cell().kind() == model::v1::CELL_KIND_SSRU) {
        return {.field = "weight_input", .name = op.cell().cell().weight_input(), .blocks = 2};
      }
      return {.field = "weight_state", .name = op.cell().cell().weight_state(), .by_rows = false};
    case Op::kAttend:
      if (op.attend().value_weight().empty()) return {};
      return {.field = "value_weight", .name = op.attend().value_weight()};
    case Op::kLinear:
      return {.field = "weight", .name = op.linear().weight()};
    case Op::kOutput:
      return {.field = "weight", .name = op.output().weight()};
    default:
      return {};
  }
}

// Size of the op's first value where no tensor says it; 0: not known yet. `reads` are the values behind
// ReferencesOf(op).
std::int64_t SizeFromInputs(const Op& op, const Scope& scope, const std::vector<int>& reads) {
  const auto first_known = [&]() -> std::int64_t {
    for (const int value : reads) {
      if (SizeOf(scope, value) > 0) return SizeOf(scope, value);
    }
    return 0;
  };
  switch (op.op_case()) {
    case Op::kAttend:
      return SizeOf(scope, reads.back());  // the memory
    case Op::kConcat: {
      std::int64_t sum = 0;
      for (const int value : reads) {
        if (SizeOf(scope, value) == 0) return 0;
        sum += SizeOf(scope, value);
      }
      return sum;
    }
    case Op::kSlice:
      return std::int64_t{op.slice().end()} - op.slice().begin();
    case Op::kMaxout:
      return op.maxout().group() < 1 ? 0 : first_known() / op.maxout().group();
    case Op::kActivation:
    case Op::kAdd:
    case Op::kMul:
    case Op::kLerp:
    case Op::kLayerNorm:
    case Op::kPosition:
      return first_known();
    default:
      return 0;  // refused by the checker, whatever its size
  }
}

// Sets the size of all values that op makes, but for an attend's weights and energies.
void SetSize(const Op& op, std::int64_t size, Scope* scope) {
  scope->values()[scope->Find(op.name())].size = static_cast<int>(size);
  const int c = scope->Find(op.name() + ".c");
  if (c >= 0) scope->values()[c].size = static_cast<int>(size);
}

}  // namespace

// Element by element, so that positions stay positions.
bool KeepsType(const Op& op) {
  switch (op.op_case()) {
    case Op::kActivation:
    case Op::kAdd:
    case Op::kMul:
    case Op::kLerp:
      return true;
    default:
      return false;
  }
}

void InferPositions(const google::protobuf::RepeatedPtrField<Op>& ops, const std::vector<std::vector<int>>& reads,
                    Scope* scope) {
  bool changed = true;
  while (changed) {
    changed = false;
    for (int i = 0; i < ops.size(); ++i) {
      ValueType& type = scope->values()[scope->Find(ops[i].name())].type;
      if (!KeepsType(ops[i]) || type == ValueType::kPositions) continue;
      const bool positions = std::any_of(reads[i].begin(), reads[i].end(), [scope](int value) {
        return value >= 0 && scope->value(value).type == ValueType::kPositions;
      });
      if (!positions) continue;
      type = ValueType::kPositions;
      changed = true;
    }
  }
}

absl::Status InferSizes(const google::protobuf::RepeatedPtrField<Op>& ops, const TensorTable& tensors, Scope* scope) {
  std::vector<std::vector<int>> reads;
  for (const Op& op : ops) {
    reads.push_back(ResolveAll(op, *scope));
    if (op.op_case() == Op::kAttend) {
      for (const char* part : {".weights", ".energies"}) {
        scope->values()[scope->Find(op.name() + part)].size = std::clamp(op.attend().heads(), 1, kMaxHeads);
      }
    }
    const SizeTensor by = SizeTensorOf(op);
    if (by.field == nullptr) continue;
    HEED_ASSIGN_OR_RETURN(const Tensor* tensor, tensors.Existing(PlaceOf(ProgramKind::kStep, op), by.field, by.name));
    const std::int64_t size = by.by_rows ? tensor->rows() / by.blocks : tensor->columns();
    if (size <= kMaxVectorSize) SetSize(op, size, scope);
  }
  InferPositions(ops, reads, scope);
  // One pass settles what flows downwards; each prime that a size flows through may take one more.
  bool changed = true;
  while (changed) {
    changed = false;
    for (int i = 0; i < ops.size(); ++i) {
      if (scope->value(scope->Find(ops[i].name())).size != 0) continue;
      const std::int64_t size = SizeFromInputs(ops[i], *scope, reads[i]);
      if (size < 1 || size > kMaxVectorSize) continue;
      SetSize(ops[i], size, scope);
      changed = true;
    }
  }
  return absl::OkStatus();
}

}  // namespace heed
