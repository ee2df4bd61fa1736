// Puts a model's weights where the engine reads them: matrices packed, constants copied, products with an embedding
// tabulated. A tensor that several ops name is kept once.
//
// Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/run/compiled.h"

namespace heed {

class WeightStore {
 public:
  // Adds to model.matrices and model.constants. max_table_bytes bounds one table.
  WeightStore(CompiledModel& model, std::int64_t max_table_bytes) : model_(model), max_table_bytes_(max_table_bytes) {}

  // w is row-major [n, k].
  absl::StatusOr<MatrixIndex> Pack(int n, int k, const float* w);
  absl::StatusOr<MatrixIndex> Pack(const Tensor* w);

  ConstantIndex Constant(Buffer buffer);
  // The tensor's values times scale; -1 for a null tensor.
  ConstantIndex Constant(const Tensor* t, float scale = 1);

  // [V + 1, n]: every scaled embedding row times columns [begin, begin + size) of w [n, all], plus bias [n]; the last
  // row is the bias alone. Absent when it would be larger than max_table_bytes.
  absl::StatusOr<std::optional<ConstantIndex>> Table(const EmbedNode& embed, const Tensor& w, int begin,
                                                     const Buffer& bias);

  // [rows, n]: the sinusoids of positions 0, 1, ...: `wanted` of them, or fewer where that would take much memory.
  ConstantIndex Positions(int n, int wanted);

  // sum += t, where t is not null.
  static void AddTensor(const Tensor* t, Buffer& sum);

 private:
  CompiledModel& model_;
  const std::int64_t max_table_bytes_;
  std::map<int, ConstantIndex> positions_;  // by n
  std::map<const Tensor*, MatrixIndex> packed_;
  std::map<std::pair<const Tensor*, float>, ConstantIndex> constants_;
};

}  // namespace heed
