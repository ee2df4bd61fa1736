// Lists a model's weights as the engine reads them: matrices packed, constants copied, products with an embedding
// tabulated. Listing takes no memory to speak of, so the sum is known before Fill makes any of it. A tensor that
// several ops name is kept once.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/run/compiled.h"

namespace heed {

class WeightStore {
 public:
  // Makes what was listed, when its turn comes: [n, k] row-major, or as many floats as were listed. Tensors that it
  // reads are there until Fill has returned.
  using MakeFloats = std::function<std::vector<float>()>;

  // Lists in model.matrix_shapes and model.constant_floats. max_table_bytes bounds one table.
  WeightStore(CompiledModel& model, std::int64_t max_table_bytes) : model_(model), max_table_bytes_(max_table_bytes) {}

  absl::StatusOr<MatrixIndex> Pack(int n, int k, MakeFloats make);
  absl::StatusOr<MatrixIndex> Pack(const Tensor* w);

  ConstantIndex Constant(std::size_t floats, MakeFloats make);
  // -1 for a null tensor.
  ConstantIndex Constant(const Tensor* t);

  // [V + 1, n]: every scaled embedding row times columns [begin, begin + size) of w [n, all], plus bias [n]; the last
  // row is the bias alone. Absent when it would be larger than max_table_bytes.
  std::optional<ConstantIndex> Table(const EmbedNode& embed, const Tensor& w, int begin, const MakeFloats& bias);

  // [rows, n]: the sinusoids of positions 0, 1, ...: `wanted` of them, or fewer where that would take much memory.
  ConstantIndex Positions(int n, int wanted);

  // Memory of all that is listed, and what making the largest piece of it takes beside that.
  std::int64_t bytes() const { return bytes_; }
  std::int64_t making_bytes() const { return making_bytes_; }

  // Fills model.matrices and model.constants. INTERNAL when oneDNN refuses.
  absl::Status Fill();

 private:
  ConstantIndex List(std::size_t floats, std::function<absl::StatusOr<Buffer>()> make, std::int64_t making_bytes);

  CompiledModel& model_;
  const std::int64_t max_table_bytes_;
  std::int64_t bytes_ = 0, making_bytes_ = 0;
  std::vector<MakeFloats> matrices_;
  std::vector<std::function<absl::StatusOr<Buffer>()>> constants_;
  std::map<std::pair<int, int>, std::int64_t> packed_bytes_;  // by n and k
  std::map<int, ConstantIndex> positions_;                    // by n
  std::map<const Tensor*, MatrixIndex> packed_;
  std::map<const Tensor*, ConstantIndex> copied_;
};

}  // namespace heed
