#include "engine/model/size_inference.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/strip.h"

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

std::int64_t Rows(const TensorTable& tensors, const std::string& name) {
  const Tensor* tensor = tensors.Find(name);
  return tensor == nullptr ? 0 : tensor->rows();
}

std::int64_t Columns(const TensorTable& tensors, const std::string& name) {
  const Tensor* tensor = tensors.Find(name);
  return tensor == nullptr ? 0 : tensor->columns();
}

// Size of the op's first value; 0: not known yet. `reads` are the values behind ReferencesOf(op).
std::int64_t OpSize(const Op& op, const TensorTable& tensors, const Scope& scope, const std::vector<int>& reads) {
  const auto first_known = [&]() -> std::int64_t {
    for (const int value : reads) {
      if (SizeOf(scope, value) > 0) return SizeOf(scope, value);
    }
    return 0;
  };
  switch (op.op_case()) {
    case Op::kEmbed:
      return Columns(tensors, op.embed().table());
    case Op::kCell:
      return Columns(tensors, op.cell().cell().weight_state());
    case Op::kAttend:
      return op.attend().value_weight().empty() ? SizeOf(scope, reads.back())
                                                : Rows(tensors, op.attend().value_weight());
    case Op::kLinear:
      return Rows(tensors, op.linear().weight());
    case Op::kOutput:
      return Rows(tensors, op.output().weight());
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
      return first_known();
    default:
      return 0;  // refused by the checker, whatever its size
  }
}

}  // namespace

void InferSizes(const google::protobuf::RepeatedPtrField<Op>& ops, const TensorTable& tensors, Scope* scope) {
  std::vector<std::vector<int>> reads;
  for (const Op& op : ops) {
    reads.push_back(ResolveAll(op, *scope));
    if (op.op_case() != Op::kAttend) continue;
    for (const char* part : {".weights", ".energies"}) {
      scope->values()[scope->Find(op.name() + part)].size = std::clamp(op.attend().heads(), 1, 1 << 20);
    }
  }
  // One pass settles what flows downwards; each prime that a size flows through may take one more.
  bool changed = true;
  while (changed) {
    changed = false;
    for (int i = 0; i < ops.size(); ++i) {
      const Op& op = ops[i];
      const int value = scope->Find(op.name());
      if (scope->value(value).size != 0) continue;
      const std::int64_t size = OpSize(op, tensors, *scope, reads[i]);
      if (size < 1 || size > kMaxVectorSize) continue;
      scope->values()[value].size = static_cast<int>(size);
      const int c = scope->Find(op.name() + ".c");
      if (c >= 0) scope->values()[c].size = static_cast<int>(size);
      changed = true;
    }
  }
}

}  // namespace heed
