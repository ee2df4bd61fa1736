#include "engine/run/weight_store.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/kernels/position.h"

namespace heed {

absl::StatusOr<MatrixIndex> WeightStore::Pack(int n, int k, const float* w) {
  HEED_ASSIGN_OR_RETURN(auto packed, PackedMatrix::Pack(n, k, w));
  model_.matrices.push_back(std::move(packed));
  return static_cast<MatrixIndex>(model_.matrices.size()) - 1;
}

absl::StatusOr<MatrixIndex> WeightStore::Pack(const Tensor* w) {
  const auto found = packed_.find(w);
  if (found != packed_.end()) return found->second;
  HEED_ASSIGN_OR_RETURN(const MatrixIndex index,
                        Pack(static_cast<int>(w->rows()), static_cast<int>(w->columns()), w->data.data()));
  return packed_[w] = index;
}

ConstantIndex WeightStore::Constant(Buffer buffer) {
  model_.constants.push_back(std::move(buffer));
  return static_cast<ConstantIndex>(model_.constants.size()) - 1;
}

ConstantIndex WeightStore::Constant(const Tensor* t, float scale) {
  if (t == nullptr) return -1;
  const auto key = std::make_pair(t, scale);
  const auto found = constants_.find(key);
  if (found != constants_.end()) return found->second;
  Buffer buffer(t->data.size());
  for (std::size_t i = 0; i < t->data.size(); ++i) buffer.data()[i] = t->data[i] * scale;
  return constants_[key] = Constant(std::move(buffer));
}

ConstantIndex WeightStore::Positions(int n, int wanted) {
  const auto found = positions_.find(n);
  if (found != positions_.end()) return found->second;
  constexpr int kMaxFloats = 4 << 20;
  const int rows = std::clamp(wanted, 1, std::max(1, kMaxFloats / n));
  Buffer table(static_cast<std::size_t>(rows) * n);
  for (int row = 0; row < rows; ++row) Sinusoids(row, n, table.data() + static_cast<std::size_t>(row) * n);
  return positions_[n] = Constant(std::move(table));
}

void WeightStore::AddTensor(const Tensor* t, Buffer& sum) {
  if (t == nullptr) return;
  for (std::size_t i = 0; i < t->data.size(); ++i) sum.data()[i] += t->data[i];
}

absl::StatusOr<std::optional<ConstantIndex>> WeightStore::Table(const EmbedNode& embed, const Tensor& w, int begin,
                                                                const Buffer& bias) {
  const int vocabulary = static_cast<int>(embed.table->rows()), size = static_cast<int>(embed.table->columns());
  const int n = static_cast<int>(w.rows()), all = static_cast<int>(w.columns());
  const std::int64_t bytes = (std::int64_t{vocabulary} + 1) * n * static_cast<std::int64_t>(sizeof(float));
  if (bytes > max_table_bytes_) return std::nullopt;
  std::vector<float> part(static_cast<std::size_t>(n) * size);
  for (int r = 0; r < n; ++r) {
    std::copy_n(&w.data[static_cast<std::size_t>(r) * all + begin], size, &part[static_cast<std::size_t>(r) * size]);
  }
  constexpr int kBlock = 64;
  HEED_ASSIGN_OR_RETURN(auto packed, PackedMatrix::Pack(n, size, part.data()));
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
    for (int i = 0; i < n; ++i) table.data()[row * n + i] += bias.data()[i];
  }
  return Constant(std::move(table));
}

}  // namespace heed
