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
  const std::vector<float> floats = w.Floats();
  const std::size_t n = w.rows(), all = w.columns();
  std::vector<float> part(n * size);
  for (std::size_t r = 0; r < n; ++r) std::copy_n(&floats[r * all + begin], size, &part[r * size]);
  return part;
}

// What a tensor is, without a copy.
Weight WeightOf(const Tensor& t) {
  Weight weight{static_cast<int>(t.rows()), static_cast<int>(t.columns())};
  if (t.IsInt8()) {
    weight.quantised = t.quantised.data();
    weight.scales = t.scales.data();
    weight.activation_scales = t.activation_scales;
  } else {
    weight.floats = t.data.data();
  }
  return weight;
}

absl::StatusOr<Buffer> Tabulate(const EmbedNode& embed, const Tensor& w, int begin, const std::vector<float>& bias) {
  const int vocabulary = static_cast<int>(embed.table->rows()), size = static_cast<int>(embed.table->columns());
  const int n = static_cast<int>(w.rows());
  const std::vector<float> columns = Columns(w, begin, size);
  HEED_ASSIGN_OR_RETURN(auto packed, PackedMatrix::Pack({n, size, columns.data()}, {.n = n, .k = size}));
  GemmScratch scratch;  // float32 needs none
  HEED_ASSIGN_OR_RETURN(auto gemm, Gemm::Make(packed, kBlock, &scratch));
  const Weight embedding = WeightOf(*embed.table);
  Buffer x(static_cast<std::size_t>(Gemm::PaddedRows(kBlock)) * size);
  Buffer y(static_cast<std::size_t>(Gemm::PaddedRows(kBlock)) * n);
  Buffer table((static_cast<std::size_t>(vocabulary) + 1) * n);
  for (int at = 0; at < vocabulary; at += kBlock) {
    const int rows = std::min(kBlock, vocabulary - at);
    for (int r = 0; r < rows; ++r) ReadRow(embedding, at + r, x.data() + static_cast<std::size_t>(r) * size);
    for (int i = 0; i < rows * size; ++i) x.data()[i] *= embed.scale;
    gemm->Run(rows, x.data(), y.data());
    std::memcpy(table.data() + static_cast<std::size_t>(at) * n, y.data(), sizeof(float) * rows * n);
  }
  for (std::size_t row = 0; row <= static_cast<std::size_t>(vocabulary); ++row) {
    for (int i = 0; i < n; ++i) table.data()[row * n + i] += bias[i];
  }
  return table;
}

}  // namespace

absl::StatusOr<MatrixIndex> WeightStore::ListMatrix(const Packing& packing, MakeWeight make,
                                                    std::int64_t making_bytes) {
  auto [found, fresh] = packed_bytes_.emplace(packing, 0);
  if (fresh) {
    HEED_ASSIGN_OR_RETURN(found->second, PackedMatrix::Bytes(packing));
  }
  bytes_ = SaturatingAdd(bytes_, found->second);
  making_bytes_ = std::max(making_bytes_, SaturatingAdd(making_bytes, PackedMatrix::MakingBytes(packing)));
  model_.packings.push_back(packing);
  matrices_.push_back(std::move(make));
  return static_cast<MatrixIndex>(matrices_.size()) - 1;
}

absl::StatusOr<MatrixIndex> WeightStore::Pack(int n, int k, MakeFloats make) {
  const auto made = [n, k, make = std::move(make)] {
    MadeWeight all{.weight = {n, k}, .floats = make()};
    all.weight.floats = all.floats.data();
    return all;
  };
  return ListMatrix(PackingOf(n, k), made, FloatBytes(n, k));
}

absl::StatusOr<MatrixIndex> WeightStore::Pack(const Tensor* w, bool streamed) {
  const auto found = packed_.find({w, streamed});
  if (found != packed_.end()) return found->second;
  Packing packing = PackingOf(static_cast<int>(w->rows()), static_cast<int>(w->columns()));
  packing.streamed = streamed;
  // A streamed product takes its x in once.
  const bool fixed = IsFixed(*w) && (!streamed || w->activation_scales.size() == 1);
  if (fixed) packing.parts = static_cast<int>(w->activation_scales.size());
  const auto made = [w, fixed] {
    MadeWeight weight{.weight = WeightOf(*w)};
    if (!fixed) weight.weight.activation_scales.clear();
    return weight;
  };
  HEED_ASSIGN_OR_RETURN(const MatrixIndex index, ListMatrix(packing, made, 0));
  return packed_[{w, streamed}] = index;
}

absl::StatusOr<MatrixIndex> WeightStore::PackStacked(const std::vector<const Tensor*>& all) {
  const int n = static_cast<int>(all[0]->rows()), k = static_cast<int>(all[0]->columns());
  const int stacked = n * static_cast<int>(all.size());
  const bool fixed = std::all_of(all.begin(), all.end(),
                                 [&](const Tensor* t) { return IsFixed(*t) && t->activation_scales.size() == 1; });
  if (!fixed) {
    return Pack(stacked, k, [all] {
      std::vector<float> floats;
      for (const Tensor* t : all) {
        const std::vector<float> part = t->Floats();
        floats.insert(floats.end(), part.begin(), part.end());
      }
      return floats;
    });
  }
  Packing packing = PackingOf(stacked, k);
  packing.parts = static_cast<int>(all.size());
  const auto made = [all, stacked, k] {
    MadeWeight weight{.weight = {stacked, k}};
    for (const Tensor* t : all) {
      weight.quantised.insert(weight.quantised.end(), t->quantised.begin(), t->quantised.end());
      weight.scales.insert(weight.scales.end(), t->scales.begin(), t->scales.end());
      weight.weight.activation_scales.push_back(t->activation_scales[0]);
    }
    weight.weight.quantised = weight.quantised.data();
    weight.weight.scales = weight.scales.data();
    return weight;
  };
  return ListMatrix(packing, made, FloatBytes(stacked, k) / 2);
}

TableIndex WeightStore::Rows(const Tensor* t) {
  const auto [found, fresh] = rows_.emplace(t, static_cast<TableIndex>(tables_.size()));
  if (!fresh) return found->second;
  const auto n = static_cast<int>(t->rows()), k = static_cast<int>(t->columns());
  bytes_ = SaturatingAdd(bytes_, RowTable::Bytes(n, k, model_.precision));
  tables_.push_back(t);
  return found->second;
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
  if (FloatBytes(rows, n) > max_table_bytes_ || IsFixed(w)) return std::nullopt;
  const Packing packing{.n = static_cast<int>(n), .k = static_cast<int>(size)};
  const absl::StatusOr<std::int64_t> packed = PackedMatrix::Bytes(packing);
  model_.table_code_bytes += Gemm::CodeBytes(kBlock);
  // The columns, and all of w, of which they are taken.
  const std::int64_t floats = SaturatingAdd(FloatBytes(n, size), FloatBytes(n, w.columns()));
  const std::int64_t making =
      SaturatingAdd(floats, packed.value_or(0), PackedMatrix::MakingBytes(packing),
                    SaturatingAdd(Gemm::Bytes(kBlock), FloatBytes(Gemm::PaddedRows(kBlock), SaturatingAdd(size, n))));
  return List(
      static_cast<std::size_t>(rows * n), [embed, &w, begin, bias] { return Tabulate(embed, w, begin, bias()); },
      making);
}

absl::Status WeightStore::Fill() {
  for (std::size_t i = 0; i < matrices_.size(); ++i) {
    HEED_ASSIGN_OR_RETURN(auto packed, PackedMatrix::Pack(matrices_[i]().weight, model_.packings[i]));
    model_.matrices.push_back(std::move(packed));
  }
  for (const Tensor* t : tables_) {
    model_.tables.push_back(std::make_shared<const RowTable>(WeightOf(*t), model_.precision));
  }
  for (const auto& make : constants_) {
    HEED_ASSIGN_OR_RETURN(Buffer constant, make());
    model_.constants.push_back(std::move(constant));
  }
  return absl::OkStatus();
}

}  // namespace heed
