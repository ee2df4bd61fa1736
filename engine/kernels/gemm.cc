#include "engine/kernels/gemm.h"

#include <omp.h>
#include <sys/mman.h>

#include <cstddef>
#include <dnnl.hpp>
#include <new>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "engine/base/buffer.h"
#include "engine/kernels/instruction_set.h"

namespace heed {
namespace {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

// Never deleted: oneDNN objects of static storage may outlive it.
const dnnl::engine& CpuEngine() {
  static const dnnl::engine* const engine = [] {
    // Room for the code of every size of every model's products, so that workers share it; where it is refused they
    // have the usual 1024.
    dnnl_set_primitive_cache_capacity(1 << 16);
    return new dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return *engine;
}

dnnl::matmul::primitive_desc Describe(int rows, int n, int k, const dnnl::memory::desc& weight) {
  const dnnl::memory::desc x(Dims{rows, k}, Type::f32, Tag::ab);
  const dnnl::memory::desc y(Dims{rows, n}, Type::f32, Tag::ab);
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return {dnnl::matmul::desc(x, weight, y), attr, CpuEngine()};
}

// Whether rows of a product are the same for every number of rows without padding.
bool RowsAreIndependent() {
  static const bool independent = [] {
    const dnnl::memory::desc any(Dims{64, 64}, Type::f32, Tag::any);
    const std::string_view name = Describe(16, 64, 64, any).impl_info_str();
    return name.find("brg") != std::string_view::npos;
  }();
  return independent;
}

// Asked for at a full batch; it is the same for every number of rows.
dnnl::memory::desc PackedLayout(int n, int k) {
  const dnnl::memory::desc any(Dims{k, n}, Type::f32, Tag::any);
  return Describe(64, n, k, any).weights_desc();
}

std::size_t Floats(const dnnl::memory::desc& layout) { return (layout.get_size() + sizeof(float) - 1) / sizeof(float); }

// Primitives of a Gemm.
std::int64_t SizesUpTo(int max_rows) {
  std::int64_t sizes = 0;
  for (int rows = 1, last = 0; rows <= max_rows; ++rows) {
    if (Gemm::PaddedRows(rows) != last) ++sizes;
    last = Gemm::PaddedRows(rows);
  }
  return sizes;
}

// oneDNN's code generator does not look whether it got the pages that it writes to: without them the process would end
// by a signal. One primitive takes a few of these megabytes at most.
void CheckThereIsRoomForCode() {
  constexpr std::size_t kRoom = 8 << 20;
  void* const room = mmap(nullptr, kRoom, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  munmap(room, kRoom);
}

// Memory that is lacking is said by std::bad_alloc, as everywhere.
template <typename F>
absl::Status Guard(F f) {
  try {
    CheckThereIsRoomForCode();
    f();
    return absl::OkStatus();
  } catch (const dnnl::error& e) {
    return absl::InternalError(absl::StrCat("oneDNN: ", e.what()));
  }
}

}  // namespace

absl::Status CheckPrecision(Precision precision) {
  if (precision != Precision::kBfloat16) return absl::OkStatus();
  const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  if (isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("bfloat16 needs AVX512_BF16, which is not there: products run on ", InstructionSet()));
}

bool Int8IsFine() {
  const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  return isa == dnnl::cpu_isa::avx512_core_vnni || isa == dnnl::cpu_isa::avx512_core_bf16 ||
         isa == dnnl::cpu_isa::avx512_core_amx || isa == dnnl::cpu_isa::avx2_vnni;
}

struct PackedMatrix::Impl {
  Buffer bytes;
  dnnl::memory weight;  // over `bytes`
};

PackedMatrix::PackedMatrix(int n, int k, std::unique_ptr<Impl> impl) : n_(n), k_(k), impl_(std::move(impl)) {
  bytes_ = impl_->weight.get_desc().get_size();
}
PackedMatrix::~PackedMatrix() = default;

absl::StatusOr<std::shared_ptr<const PackedMatrix>> PackedMatrix::Pack(int n, int k, const float* w) {
  omp_set_num_threads(1);
  auto impl = std::make_unique<Impl>();
  const absl::Status status = Guard([&] {
    const dnnl::memory::desc layout = PackedLayout(n, k);
    impl->bytes = Buffer(Floats(layout));
    impl->weight = dnnl::memory(layout, CpuEngine(), impl->bytes.data());
    const dnnl::memory::desc stored(Dims{k, n}, Type::f32, Tag::ba);
    dnnl::memory plain(stored, CpuEngine(), const_cast<float*>(w));
    dnnl::stream stream(CpuEngine());
    dnnl::reorder(plain, impl->weight).execute(stream, plain, impl->weight);
    stream.wait();
  });
  if (!status.ok()) return status;
  return std::shared_ptr<const PackedMatrix>(new PackedMatrix(n, k, std::move(impl)));
}

absl::StatusOr<std::int64_t> PackedMatrix::Bytes(int n, int k) {
  std::int64_t bytes = 0;
  const absl::Status status = Guard([&] { bytes = Buffer::Bytes(Floats(PackedLayout(n, k))); });
  if (!status.ok()) return status;
  return bytes;
}

// The C interface is used to execute: its argument list lives on the stack.
struct Gemm::Sized {
  dnnl::matmul primitive;
  dnnl::memory x, y, scratchpad;
  dnnl::stream stream;
  Buffer scratch;
};

Gemm::Gemm(std::shared_ptr<const PackedMatrix> w) : w_(std::move(w)) {}
Gemm::~Gemm() = default;

int Gemm::PaddedRows(int rows) {
  if (!RowsAreIndependent()) return (rows + 5) / 6 * 6;
  if (rows <= 6) return rows;
  if (rows <= 12) return (rows + 1) / 2 * 2;
  return (rows + 3) / 4 * 4;
}

absl::StatusOr<std::unique_ptr<Gemm>> Gemm::Make(std::shared_ptr<const PackedMatrix> w, int max_rows) {
  omp_set_num_threads(1);
  std::unique_ptr<Gemm> gemm(new Gemm(std::move(w)));
  const PackedMatrix& m = *gemm->w_;
  gemm->index_of_rows_.push_back(-1);
  int last = 0;
  const absl::Status status = Guard([&] {
    for (int rows = 1; rows <= max_rows; ++rows) {
      const int padded = PaddedRows(rows);
      if (padded != last) {
        CheckThereIsRoomForCode();
        const auto pd = Describe(padded, m.n(), m.k(), m.impl_->weight.get_desc());
        auto sized = std::make_unique<Sized>();
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

void Gemm::Run(int rows, const float* x, float* y) {
  Sized& sized = *sized_[index_of_rows_[rows]];
  dnnl_memory_set_data_handle(sized.x.get(), const_cast<float*>(x));
  dnnl_memory_set_data_handle(sized.y.get(), y);
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, sized.x.get()},
                                  {DNNL_ARG_WEIGHTS, w_->impl_->weight.get()},
                                  {DNNL_ARG_DST, sized.y.get()},
                                  {DNNL_ARG_SCRATCHPAD, sized.scratchpad.get()}};
  // Fails only on wrong arguments, which Make has ruled out.
  dnnl_primitive_execute(sized.primitive.get(), sized.stream.get(), 4, args);
}

}  // namespace heed
