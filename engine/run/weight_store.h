// Lists a model's weights as the engine reads them: matrices packed and rows of tables kept in its precision, constants
// copied, products with an embedding tabulated (in float32). Listing takes no memory to speak of, so the sum is known
// before Fill makes any of it. A tensor that several ops name is kept once.
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

  // Lists in model.packings and model.constant_floats, in model.precision. max_table_bytes bounds one tabulated
  // product.
  WeightStore(CompiledModel& model, std::int64_t max_table_bytes) : model_(model), max_table_bytes_(max_table_bytes) {}

  absl::StatusOr<MatrixIndex> Pack(int n, int k, MakeFloats make);
  // `streamed`: Packing::streamed. An int8 tensor is packed as it is where the model's precision is int8.
  absl::StatusOr<MatrixIndex> Pack(const Tensor* w, bool streamed = false);
  // Rows of all, one tensor's after the other's: of one shape.
  absl::StatusOr<MatrixIndex> PackStacked(const std::vector<const Tensor*>& all);
  // Whether products of this tensor are to be the bundle's own integer arithmetic, which nothing may tabulate.
  bool IsFixed(const Tensor& w) const {
    return model_.precision == Precision::kInt8 && w.IsInt8() && !w.activation_scales.empty();
  }

  // A table of rows; listed once however many ops name it.
  TableIndex Rows(const Tensor* t);

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
  // A weight and what it lies in, where that is not a tensor.
  struct MadeWeight {
    Weight weight;
    std::vector<float> floats, scales;
    std::vector<std::int8_t> quantised;
  };
  using MakeWeight = std::function<MadeWeight()>;
  absl::StatusOr<MatrixIndex> ListMatrix(const Packing& packing, MakeWeight make, std::int64_t making_bytes);
  Packing PackingOf(int n, int k) const { return {.n = n, .k = k, .precision = model_.precision}; }

  ConstantIndex List(std::size_t floats, std::function<absl::StatusOr<Buffer>()> make, std::int64_t making_bytes);

  CompiledModel& model_;
  const std::int64_t max_table_bytes_;
  std::int64_t bytes_ = 0, making_bytes_ = 0;
  std::vector<MakeWeight> matrices_;
  std::vector<const Tensor*> tables_;
  std::vector<std::function<absl::StatusOr<Buffer>()>> constants_;
  std::map<Packing, std::int64_t> packed_bytes_;
  std::map<int, ConstantIndex> positions_;  // by n
  std::map<std::pair<const Tensor*, bool>, MatrixIndex> packed_;
  std::map<const Tensor*, TableIndex> rows_;
  std::map<const Tensor*, ConstantIndex> copied_;
};

}  // namespace heed
