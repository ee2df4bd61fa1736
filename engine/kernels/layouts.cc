#include "engine/kernels/layouts.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <new>
#include <string_view>

#include "engine/kernels/quantise.h"

namespace heed {
namespace {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

dnnl::memory::desc AnyWeight(Precision precision, int n, int k) {
  constexpr Type kW[] = {Type::f32, Type::bf16, Type::s8};
  return {Dims{k, n}, kW[static_cast<int>(precision)], Tag::any};
}

}  // namespace

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

Precision Used(const Packing& p) {
  return p.precision == Precision::kInt8 && p.k > kMaxInt8Depth ? Precision::kFloat32 : p.precision;
}

int Blocks(const Packing& p) { return p.streamed ? (p.n + kStreamedColumns - 1) / kStreamedColumns : p.parts; }

int StreamedColumns(int n) {
  const int blocks = (n + kStreamedColumns - 1) / kStreamedColumns, columns = (n + blocks - 1) / blocks;
  return (columns + 63) / 64 * 64;
}

int Columns(const Packing& p) { return p.streamed ? StreamedColumns(p.n) : p.n / p.parts; }

dnnl::matmul::primitive_desc Describe(Precision precision, int rows, int n, int k, int y_stride,
                                      const dnnl::memory::desc& weight) {
  constexpr Type kX[] = {Type::f32, Type::bf16, Type::u8};
  const dnnl::memory::desc x(Dims{rows, k}, kX[static_cast<int>(precision)], Tag::ab);
  const dnnl::memory::desc y(Dims{rows, n}, precision == Precision::kInt8 ? Type::s32 : Type::f32, Dims{y_stride, 1});
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return {dnnl::matmul::desc(x, weight, y), attr, CpuEngine()};
}

bool RowsAreIndependent() {
  static const bool independent = [] {
    const auto pd = Describe(Precision::kFloat32, 16, 64, 64, 64, AnyWeight(Precision::kFloat32, 64, 64));
    return std::string_view(pd.impl_info_str()).find("brg") != std::string_view::npos;
  }();
  return independent;
}

dnnl::memory::desc PackedLayout(const Packing& p) {
  const int columns = Columns(p);
  return Describe(Used(p), kManyRows, columns, p.k, columns, AnyWeight(Used(p), columns, p.k)).weights_desc();
}

std::optional<dnnl::memory::desc> WholeLayout(const Packing& p) {
  if (!p.streamed || Used(p) != Precision::kInt8) return std::nullopt;
  const dnnl::memory::desc block = PackedLayout(p);
  const int columns = Blocks(p) * Columns(p);
  const dnnl::memory::desc whole =
      Describe(Used(p), kManyRows, columns, p.k, columns, AnyWeight(Used(p), columns, p.k)).weights_desc();
  const auto &a = block.data.format_desc.blocking, &b = whole.data.format_desc.blocking;
  const bool same = block.data.format_kind == dnnl_blocked && whole.data.format_kind == dnnl_blocked &&
                    std::equal(a.strides, a.strides + 2, b.strides) && a.inner_nblks == b.inner_nblks &&
                    std::equal(a.inner_blks, a.inner_blks + a.inner_nblks, b.inner_blks) &&
                    std::equal(a.inner_idxs, a.inner_idxs + a.inner_nblks, b.inner_idxs) && a.strides[1] > a.strides[0];
  const bool fills = block.get_size() % 64 == 0 && whole.get_size() == block.get_size() * Blocks(p);
  return same && fills ? std::optional(whole) : std::nullopt;
}

void CheckThereIsRoomForCode() {
  constexpr std::size_t kRoom = 8 << 20;
  void* const room = mmap(nullptr, kRoom, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  munmap(room, kRoom);
}

}  // namespace heed
