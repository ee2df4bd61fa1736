#include "engine/run/weight_store.h"

#include <algorithm>
#include <cstring>

#include "engine/base/saturating.h"
#include "engine/base/status_macros.h"
#include "engine/kernels/position.h"

namespace heed {
namespace {

constexpr int kBlock = 64;  // rows of a table that are multiplied at a time

std::int64_t FloatBytes(std::int64_t rows, std::int64_t columns) {
  return SaturatingMultiply(SaturatingMultiply(rows, columns), sizeof(float));
}

Buffer Copied(const std::vector<float>& floats) {
  Buffer buffer(floats.size());
  std::copy(floats.begin(), floats.end(), buffer.data());
  return buffer;
}

// Columns [begin, begin + size) of w.
std::vector<float> Columns(const Tensor& w, int begin, int size) {
  const std::size_t n = w.rows(), all = w.columns();
  std::vector<float> part(n * size);
  for (std::size_t r = 0; r < n; ++r) std::copy_n(&w.data[r * all + begin], size, &part[r * size]);
  return part;
}

absl::StatusOr<Buffer> Tabulate(const EmbedNode& embed, const Tensor& w, int begin, const std::vector<float>& bias) {
  const int vocabulary = static_cast<int>(embed.table->rows()), size = static_cast<int>(embed.table->columns());
  const int n = static_cast<int>(w.rows());
  HEED_ASSIGN_OR_RETURN(auto packed, PackedMatrix::Pack(n, size, Columns(w, begin, size).data()));
  HEED_ASSIGN_OR_RETURN(auto gemm, Gemm::Make(packed, kBlock));
  Buffer x(static_cast<std::size_t>(Gemm::PaddedRows(kBlock)) * size);
  Buffer y(static_cast<std::size_t>(Gemm::PaddedRows(kBlock)) * n);
  Buffer table((static_cast<std::size_t>(vocabulary) + 1) * n);
  for (int at = 0; at < vocabulary; at += kBlock) {
    const int rows = std::min(kBlock, vocabulary - at);
    const float* from = &embed.table->data[static_cast<std::size_t>(at) * size];
    for (int i = 0; i < rows * size; ++i) x.data()[i] = from[i] * embed.scale;
    gemm->Run(rows, x.data(), y.data());
    std::memcpy(table.data() + static_cast<std::size_t>(at) * n, y.data(), sizeof(float) * rows * n);
  }
  for (std::size_t row = 0; row <= static_cast<std::size_t>(vocabulary); ++row) {
    for (int i = 0; i < n; ++i) table.data()[row * n + i] += bias[i];
  }
  return table;
}

}  // namespace

absl::StatusOr<MatrixIndex> WeightStore::Pack(int n, int k, MakeFloats make) {
  auto [found, fresh] = packed_bytes_.emplace(std::make_pair(n, k), 0);
  if (fresh) {
    HEED_ASSIGN_OR_RETURN(found->second, PackedMatrix::Bytes(n, k));
  }
  bytes_ = SaturatingAdd(bytes_, found->second);
  making_bytes_ = std::max(making_bytes_, FloatBytes(n, k));
  model_.matrix_shapes.push_back({n, k});
  matrices_.push_back(std::move(make));
  return static_cast<MatrixIndex>(matrices_.size()) - 1;
}

absl::StatusOr<MatrixIndex> WeightStore::Pack(const Tensor* w) {
  const auto found = packed_.find(w);
  if (found != packed_.end()) return found->second;
  HEED_ASSIGN_OR_RETURN(const MatrixIndex index,
                        Pack(static_cast<int>(w->rows()), static_cast<int>(w->columns()), [w] { return w->data; }));
  return packed_[w] = index;
}

ConstantIndex WeightStore::List(std::size_t floats, std::function<absl::StatusOr<Buffer>()> make,
                                std::int64_t making_bytes) {
  bytes_ = SaturatingAdd(bytes_, Buffer::Bytes(floats));
  making_bytes_ = std::max(making_bytes_, making_bytes);
  model_.constant_floats.push_back(floats);
  constants_.push_back(std::move(make));
  return static_cast<ConstantIndex>(constants_.size()) - 1;
}

ConstantIndex WeightStore::Constant(std::size_t floats, MakeFloats make) {
  return List(
      floats, [make = std::move(make)]() -> absl::StatusOr<Buffer> { return Copied(make()); },
      FloatBytes(Saturated(floats), 1));
}

ConstantIndex WeightStore::Constant(const Tensor* t) {
  if (t == nullptr) return -1;
  const auto found = copied_.find(t);
  if (found != copied_.end()) return found->second;
  const auto copy = [t]() -> absl::StatusOr<Buffer> { return Copied(t->data); };
  return copied_[t] = List(t->data.size(), copy, 0);
}

ConstantIndex WeightStore::Positions(int n, int wanted) {
  const auto found = positions_.find(n);
  if (found != positions_.end()) return found->second;
  constexpr int kMaxFloats = 4 << 20;
  const int rows = std::clamp(wanted, 1, std::max(1, kMaxFloats / n));
  const std::size_t floats = static_cast<std::size_t>(rows) * n;
  const auto make = [rows, n, floats]() -> absl::StatusOr<Buffer> {
    Buffer table(floats);
    for (int row = 0; row < rows; ++row) Sinusoids(row, n, table.data() + static_cast<std::size_t>(row) * n);
    return table;
  };
  return positions_[n] = List(floats, make, 0);
}

std::optional<ConstantIndex> WeightStore::Table(const EmbedNode& embed, const Tensor& w, int begin,
                                                const MakeFloats& bias) {
  const std::int64_t rows = embed.table->rows() + 1, size = embed.table->columns(), n = w.rows();
  if (FloatBytes(rows, n) > max_table_bytes_) return std::nullopt;
  const absl::StatusOr<std::int64_t> packed = PackedMatrix::Bytes(static_cast<int>(n), static_cast<int>(size));
  model_.table_code_bytes += Gemm::CodeBytes(kBlock);
  const std::int64_t making = SaturatingAdd(FloatBytes(n, size), packed.value_or(0), Gemm::Bytes(kBlock),
                                            FloatBytes(Gemm::PaddedRows(kBlock), SaturatingAdd(size, n)));
  return List(
      static_cast<std::size_t>(rows * n), [embed, &w, begin, bias] { return Tabulate(embed, w, begin, bias()); },
      making);
}

absl::Status WeightStore::Fill() {
  for (std::size_t i = 0; i < matrices_.size(); ++i) {
    const MatrixShape shape = model_.matrix_shapes[i];
    HEED_ASSIGN_OR_RETURN(auto packed, PackedMatrix::Pack(shape.n, shape.k, matrices_[i]().data()));
    model_.matrices.push_back(std::move(packed));
  }
  for (const auto& make : constants_) {
    HEED_ASSIGN_OR_RETURN(Buffer constant, make());
    model_.constants.push_back(std::move(constant));
  }
  return absl::OkStatus();
}

}  // namespace heed
