#include "engine/kernels/gemm.h"

#include <omp.h>

#include <algorithm>
#include <cstddef>
#include <dnnl.hpp>
#include <optional>
#include <utility>

#include "engine/base/saturating.h"
#include "engine/kernels/elementwise.h"
#include "engine/kernels/layouts.h"

namespace heed {
namespace {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

constexpr int kMostRowsAtOnce = 72;  // where rows are not independent
// So many rows of all columns stay in a cache too, and one call for all is a tenth faster than many: of int8 alone,
// whose sums have no order that another kernel could change.
constexpr int kFewRows = 16;
// Bytes of weights from which on two cores do them faster, waking the second included.
constexpr std::int64_t kWorthSharing = 2 << 20;

// Floats that hold one block, so that the next one is aligned.
std::size_t BlockFloats(const dnnl::memory::desc& layout) { return (layout.get_size() + 63) / 64 * 16; }

std::size_t ScaleCount(const Packing& p) {
  return Used(p) == Precision::kInt8 ? static_cast<std::size_t>(Blocks(p)) * Columns(p) : 0;
}

// Rows of the primitives of a Gemm.
int MostAtOnce(int max_rows) { return RowsAreIndependent() ? max_rows : std::min(max_rows, kMostRowsAtOnce); }

std::int64_t SizesUpTo(int max_rows) {
  std::int64_t sizes = 0;
  for (int rows = 1, last = 0; rows <= MostAtOnce(max_rows); ++rows) {
    if (Gemm::PaddedRows(rows) != last) ++sizes;
    last = Gemm::PaddedRows(rows);
  }
  return sizes;
}

int Levels() { return Int8IsFine() ? kFineLevels : kCoarseLevels; }

}  // namespace

struct PackedMatrix::Impl {
  Buffer bytes;
  dnnl::memory::desc layout;          // of a block
  std::vector<dnnl::memory> weights;  // by block, over `bytes`
  std::optional<dnnl::memory> whole;  // WholeLayout, over `bytes`
  Buffer scales, sums;                // int8: by column; sums are int32 or, shifted, floats
  bool shifted = false;               // the sums are SumScales::column_shift, and the rows' scale is in the scales
  std::vector<float> activation_scales;

  std::int32_t* sum() { return reinterpret_cast<std::int32_t*>(sums.data()); }
};

namespace {

// Copies rows [first, first + count) of k elements, or points at them where they are followed by no zeros.
template <typename T>
const T* BlockRows(const T* w, int k, int first, int count, int rows, std::vector<T>* copy) {
  const T* from = w + static_cast<std::size_t>(first) * k;
  if (count == rows) return from;
  copy->assign(static_cast<std::size_t>(rows) * k, T{});
  std::copy_n(from, static_cast<std::size_t>(count) * k, copy->data());
  return copy->data();
}

void Reorder(Type type, int n, int k, const void* w, dnnl::memory& to) {
  const dnnl::memory::desc stored(Dims{k, n}, type, Tag::ba);
  dnnl::memory plain(stored, CpuEngine(), const_cast<void*>(w));
  dnnl::stream stream(CpuEngine());
  dnnl::reorder(plain, to).execute(stream, plain, to);
  stream.wait();
}

// A part's fixed steps either way, and how wide one is: twice as wide where there are half as many.
int Steps() { return Int8IsFine() ? 127 : 63; }
float StepOf(const std::vector<float>& activation_scales, int part) {
  return (Int8IsFine() ? 1.0f : 2.0f) * activation_scales[activation_scales.size() == 1 ? 0 : part];
}

}  // namespace

PackedMatrix::PackedMatrix(const Packing& packing, std::unique_ptr<Impl> impl)
    : packing_(packing), impl_(std::move(impl)) {
  bytes_ = (impl_->bytes.size() + impl_->scales.size() + impl_->sums.size()) * sizeof(float);
}
PackedMatrix::~PackedMatrix() = default;

absl::StatusOr<std::shared_ptr<const PackedMatrix>> PackedMatrix::Pack(const Weight& weight, const Packing& packing) {
  omp_set_num_threads(1);
  auto impl = std::make_unique<Impl>();
  const int blocks = Blocks(packing), columns = Columns(packing), n = packing.n, k = packing.k;
  const bool int8 = Used(packing) == Precision::kInt8;
  // What a streamed product gives is rounded no more, and its bias is added elsewhere.
  impl->shifted = int8 && !weight.activation_scales.empty() && !packing.streamed;
  const absl::Status status = Guard([&] {
    impl->layout = PackedLayout(packing);
    const std::size_t floats = BlockFloats(impl->layout);
    impl->bytes = Buffer(floats * blocks);
    impl->scales = Buffer(ScaleCount(packing));
    impl->sums = Buffer(ScaleCount(packing));
    impl->activation_scales = weight.activation_scales;
    std::vector<float> some, wide;
    std::vector<std::int8_t> rounded;
    for (int b = 0; b < blocks; ++b) {
      const int first = b * columns, count = std::min(columns, n - first);
      dnnl::memory to(impl->layout, CpuEngine(), impl->bytes.data() + floats * b);
      if (!int8) {
        const float* from = weight.floats;
        if (from != nullptr) {
          from = BlockRows(from, k, first, count, columns, &some);
        } else {  // int8 that is not multiplied as such
          wide.assign(static_cast<std::size_t>(columns) * k, 0);
          for (int j = 0; j < count; ++j) {
            FromInt8(weight.scales[first + j], k, weight.quantised + static_cast<std::size_t>(first + j) * k,
                     &wide[static_cast<std::size_t>(j) * k]);
          }
          from = wide.data();
        }
        Reorder(Type::f32, columns, k, from, to);
      } else {
        float* scales = impl->scales.data() + first;
        const std::int8_t* from = weight.quantised;
        if (from != nullptr) {
          from = BlockRows(from, k, first, count, columns, &rounded);
          std::copy_n(weight.scales + first, count, scales);
        } else {
          rounded.assign(static_cast<std::size_t>(columns) * k, 0);
          QuantiseWeight(count, k, weight.floats + static_cast<std::size_t>(first) * k, rounded.data(), scales);
          from = rounded.data();
        }
        SumWeightRows(columns, k, from, impl->sum() + first);
        const auto& fixed = weight.activation_scales;
        if (impl->shifted) ShiftSums(count, StepOf(fixed, b), Steps(), scales, impl->sums.data() + first);
        Reorder(Type::s8, columns, k, from, to);
      }
      impl->weights.push_back(std::move(to));
    }
    if (const auto whole = WholeLayout(packing)) impl->whole.emplace(*whole, CpuEngine(), impl->bytes.data());
  });
  if (!status.ok()) return status;
  return std::shared_ptr<const PackedMatrix>(new PackedMatrix(packing, std::move(impl)));
}

absl::StatusOr<std::int64_t> PackedMatrix::Bytes(const Packing& packing) {
  std::int64_t bytes = 0;
  const absl::Status status = Guard([&] {
    const auto blocks = static_cast<std::size_t>(Blocks(packing));
    bytes = SaturatingAdd(Buffer::Bytes(BlockFloats(PackedLayout(packing)) * blocks),
                          2 * Buffer::Bytes(ScaleCount(packing)));
  });
  if (!status.ok()) return status;
  return bytes;
}

std::int64_t PackedMatrix::MakingBytes(const Packing& packing) {
  // A block in float32 at most, and rounded.
  return SaturatingMultiply(SaturatingMultiply(Columns(packing), packing.k), sizeof(float) + 1);
}

GemmScratch GemmScratch::Make(const std::vector<Packing>& packings, int max_rows, BufferMaker* buffers) {
  const int rows = std::max(kManyRows, Gemm::PaddedRows(max_rows));
  std::size_t bytes = 0;
  for (const Packing& p : packings) {
    if (Used(p) != Precision::kFloat32) bytes = std::max(bytes, NumberBytes(Used(p)) * p.k);
  }
  GemmScratch scratch;
  scratch.converted = buffers->Make((bytes * rows + sizeof(float) - 1) / sizeof(float));
  scratch.scale = buffers->Make(bytes > 0 ? rows : 0);
  scratch.zero = buffers->Make(bytes > 0 ? rows : 0);
  return scratch;
}

// The C interface is used to execute: its argument list lives on the stack.
struct Gemm::Sized {
  bool whole = false;
  int rows = 0;
  dnnl::matmul primitive;
  dnnl::memory x, y, scratchpad;
  dnnl::stream stream;
  Buffer scratch;
};

Gemm::Gemm(std::shared_ptr<const PackedMatrix> w, GemmScratch* scratch, bool shared)
    : w_(std::move(w)),
      scratch_(scratch),
      shared_(shared),
      blocks_(Blocks(w_->packing())),
      columns_(Columns(w_->packing())) {}
Gemm::~Gemm() = default;

int Gemm::PaddedRows(int rows) {
  if (!RowsAreIndependent()) return (rows + 5) / 6 * 6;
  if (rows <= 6) return rows;
  if (rows <= 12) return (rows + 1) / 2 * 2;
  return (rows + 3) / 4 * 4;
}

std::size_t Gemm::StreamedFloats(int n, int max_rows) {
  const std::size_t all = (static_cast<std::size_t>(n) + kStreamedColumns + 63) / 64 * 64;
  return std::max(static_cast<std::size_t>(std::max(kManyRows, PaddedRows(max_rows))) * StreamedColumns(n),
                  kFewRows * all);
}

bool Gemm::InOne() const {
  return prepared_rows_ > 0 &&
         sized_[index_of_rows_[std::min<std::size_t>(prepared_rows_, index_of_rows_.size() - 1)]]->whole;
}
int Gemm::blocks() const { return InOne() ? 1 : blocks_; }
int Gemm::block_columns() const { return InOne() ? blocks_ * columns_ : columns_; }
int Gemm::BlockSize(int block) const { return InOne() ? n() : std::max(0, std::min(columns_, n() - block * columns_)); }

void Gemm::StartThread() { omp_set_num_threads(1); }

bool Gemm::MayShare(const Packing& p) {
  const std::int64_t bytes = SaturatingMultiply(SaturatingMultiply(p.n, p.k), NumberBytes(Used(p)));
  return p.streamed && Blocks(p) > 1 && bytes >= kWorthSharing;
}

absl::StatusOr<std::unique_ptr<Gemm>> Gemm::Make(std::shared_ptr<const PackedMatrix> w, int max_rows,
                                                 GemmScratch* scratch) {
  return Make(std::move(w), max_rows, scratch, false);
}

absl::StatusOr<std::unique_ptr<Gemm>> Gemm::MakeShared(std::shared_ptr<const PackedMatrix> w, GemmScratch* scratch) {
  return Make(std::move(w), kSharedRows, scratch, true);
}

absl::StatusOr<std::unique_ptr<Gemm>> Gemm::Make(std::shared_ptr<const PackedMatrix> w, int max_rows,
                                                 GemmScratch* scratch, bool shared) {
  StartThread();
  std::unique_ptr<Gemm> gemm(new Gemm(std::move(w), scratch, shared));
  const PackedMatrix& m = *gemm->w_;
  const Precision precision = Used(m.packing());
  const int stride = m.packing().streamed ? gemm->columns_ : m.n();
  gemm->index_of_rows_.push_back(-1);
  const absl::Status status = Guard([&] {
    const auto describe = [&](int rows) {
      if (m.impl_->whole.has_value() && rows <= kFewRows && !shared) {
        const int all = gemm->blocks_ * gemm->columns_;
        return Describe(precision, rows, all, m.k(), all, m.impl_->whole->get_desc());
      }
      return Describe(precision, rows, gemm->columns_, m.k(), stride, m.impl_->layout);
    };
    const std::string kernel = describe(kManyRows).impl_info_str();
    // Few rows may have another kernel, and so other bits: they are done as the first number of rows that has not.
    const bool may_differ = precision == Precision::kBfloat16;
    int least = 1;
    for (int rows = kManyRows; may_differ && rows >= 1; --rows) {
      if (PaddedRows(rows) != rows || describe(rows).impl_info_str() == kernel) continue;
      least = rows + 1;
      break;
    }
    int last = 0;
    for (int rows = 1; rows <= MostAtOnce(max_rows); ++rows) {
      const int padded = PaddedRows(std::max(rows, least));
      const bool whole = m.impl_->whole.has_value() && padded <= kFewRows && !shared;
      if (padded != last) {
        CheckThereIsRoomForCode();
        const auto pd = describe(padded);
        auto sized = std::make_unique<Sized>();
        sized->whole = whole;
        sized->rows = padded;
        sized->primitive = dnnl::matmul(pd);
        sized->x = dnnl::memory(pd.src_desc(), CpuEngine(), nullptr);
        sized->y = dnnl::memory(pd.dst_desc(), CpuEngine(), nullptr);
        sized->scratch = Buffer(pd.scratchpad_desc().get_size() / sizeof(float) + 1);
        sized->scratchpad = dnnl::memory(pd.scratchpad_desc(), CpuEngine(), sized->scratch.data());
        sized->stream = dnnl::stream(CpuEngine());
        gemm->sized_.push_back(std::move(sized));
        last = padded;
      }
      gemm->index_of_rows_.push_back(static_cast<int>(gemm->sized_.size()) - 1);
    }
  });
  if (!status.ok()) return status;
  return gemm;
}

// Measured with oneDNN 2.6: 36 to 52 KB of code each with brgemm kernels, 14 KB with the older ones; scratch of 640
// bytes at every size; some 2 KB of descriptions.
std::int64_t Gemm::Bytes(int max_rows) { return SizesUpTo(max_rows) * (4 << 10); }
std::int64_t Gemm::CodeBytes(int max_rows) { return SizesUpTo(max_rows) * (56 << 10); }

QuantisedRows Gemm::Round(int rows, const float* x) {
  Convert(rows, x, 0);
  return scratch_->rounded();
}

const void* Gemm::Convert(int rows, const float* x, int part) {
  const Precision precision = Used(w_->packing());
  if (precision == Precision::kFloat32) return x;
  const PartTimer timer(scratch_->parts, StepPart::kRounding);
  if (precision == Precision::kBfloat16) {
    ToBfloat16(static_cast<std::int64_t>(rows) * k(), x, reinterpret_cast<std::uint16_t*>(scratch_->converted.data()));
    return scratch_->converted.data();
  }
  const QuantisedRows to = scratch_->rounded();
  const std::vector<float>& fixed = w_->impl_->activation_scales;
  if (fixed.empty()) {
    QuantiseRows(rows, k(), x, Levels(), to);
  } else {
    QuantiseRowsBy(StepOf(fixed, part), Steps(), rows, k(), x, to);
  }
  return to.q;
}

void Gemm::Multiply(int rows, const void* x, int block, float* y) {
  const std::size_t row_bytes = NumberBytes(Used(w_->packing())) * k();
  const std::size_t stride = w_->packing().streamed ? block_columns() : n();
  const int most = static_cast<int>(index_of_rows_.size()) - 1;
  for (int begin = 0; begin < rows; begin += most) {
    Sized& sized = *sized_[index_of_rows_[std::min(most, rows - begin)]];
    const auto* from = static_cast<const std::byte*>(x) + row_bytes * begin;
    dnnl_memory_set_data_handle(sized.x.get(), const_cast<std::byte*>(from));
    dnnl_memory_set_data_handle(sized.y.get(), y + stride * begin);
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, sized.x.get()},
        {DNNL_ARG_WEIGHTS, sized.whole ? w_->impl_->whole->get() : w_->impl_->weights[block].get()},
        {DNNL_ARG_DST, sized.y.get()},
        {DNNL_ARG_SCRATCHPAD, sized.scratchpad.get()}};
    // Fails only on wrong arguments, which Make has ruled out.
    dnnl_primitive_execute(sized.primitive.get(), sized.stream.get(), 4, args);
  }
}

void Gemm::Dequantise(int rows, int block, int stride, const float* bias, Activation f, float* y) {
  const PartTimer timer(shared_ ? nullptr : scratch_->parts, StepPart::kRounding);
  const std::size_t first = static_cast<std::size_t>(block) * columns_;
  SumScales scales{scratch_->scale.data(), reinterpret_cast<const std::int32_t*>(scratch_->zero.data()),
                   w_->impl_->scales.data() + first, w_->impl_->sum() + first};
  if (w_->impl_->shifted) scales.column_shift = w_->impl_->sums.data() + first;
  DequantiseRows(f, rows, BlockSize(block), stride, scales, bias == nullptr ? nullptr : bias + first, y);
}

void Gemm::Run(int rows, const float* x, float* y, const float* bias, Activation f) {
  const bool int8 = Used(w_->packing()) == Precision::kInt8;
  const void* from = Convert(rows, x, 0);
  const bool again = int8 && w_->impl_->activation_scales.size() > 1;
  for (int block = 0; block < blocks_; ++block) {
    if (block > 0 && again) from = Convert(rows, x, block);
    float* to = y + static_cast<std::size_t>(block) * columns_;
    Multiply(rows, from, block, to);
    if (int8) Dequantise(rows, block, n(), bias, f, to);
  }
  if (!int8) BiasActivateRows(f, rows, n(), bias, y);
}

void Gemm::Prepare(int rows, const float* x) {
  prepared_rows_ = rows;
  prepared_ = Convert(rows, x, 0);
}

void Gemm::Follow(const Gemm& of) {
  prepared_rows_ = of.prepared_rows_;
  prepared_ = of.prepared_;
}

int Gemm::RowsWritten(int rows) const { return sized_[index_of_rows_[rows]]->rows; }

void Gemm::RunBlock(int block, float* y) {
  Multiply(prepared_rows_, prepared_, block, y);
  if (Used(w_->packing()) == Precision::kInt8) {
    Dequantise(prepared_rows_, block, block_columns(), nullptr, Activation::kIdentity, y);
  }
}

}  // namespace heed
