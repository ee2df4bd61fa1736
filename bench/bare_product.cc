#include "bench/bare_product.h"

#include <omp.h>

#include <algorithm>
#include <dnnl.hpp>

#include "engine/base/buffer.h"

namespace heed {
namespace {

using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

struct Types {
  Type x, weight, y;
};

Types TypesOf(Precision precision) {
  switch (precision) {
    case Precision::kBfloat16:
      return {Type::bf16, Type::bf16, Type::f32};
    case Precision::kInt8:
      return {Type::u8, Type::s8, Type::s32};
    case Precision::kFloat32:
      break;
  }
  return {Type::f32, Type::f32, Type::f32};
}

// Never deleted: oneDNN objects of static storage may outlive it.
const dnnl::engine& CpuEngine() {
  static const auto* const engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

Buffer BytesFor(const dnnl::memory::desc& layout) {
  return Buffer((layout.get_size() + sizeof(float) - 1) / sizeof(float));
}

}  // namespace

struct BareProduct::Impl {
  dnnl::matmul::primitive_desc description;
  dnnl::matmul primitive;
  dnnl::stream stream;
  Buffer x, weight, y, scratch;
  dnnl::memory x_memory, weight_memory, y_memory, scratch_memory;
};

BareProduct::BareProduct(ProductShape shape, int rows, Precision precision) : impl_(std::make_unique<Impl>()) {
  omp_set_num_threads(1);
  const Types types = TypesOf(precision);
  const dnnl::memory::desc x(Dims{rows, shape.k}, types.x, Tag::ab);
  const dnnl::memory::desc weight(Dims{shape.k, shape.n}, types.weight, Tag::any);
  const dnnl::memory::desc y(Dims{rows, shape.n}, types.y, Tag::ab);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  Impl& i = *impl_;
  i.description = {dnnl::matmul::desc(x, weight, y), attributes, CpuEngine()};
  i.primitive = dnnl::matmul(i.description);
  i.stream = dnnl::stream(CpuEngine());
  const auto make = [](const dnnl::memory::desc& layout, Buffer* buffer) {
    *buffer = BytesFor(layout);
    return dnnl::memory(layout, CpuEngine(), buffer->data());
  };
  i.x_memory = make(x, &i.x);
  i.weight_memory = make(i.description.weights_desc(), &i.weight);
  i.y_memory = make(y, &i.y);
  i.scratch_memory = make(i.description.scratchpad_desc(), &i.scratch);
  // Bytes of 0x3c: 1.1e-2 as a float, 1.1e-2 as a bfloat16, 60 as an integer.
  const auto fill = [](Buffer* buffer) {
    auto* bytes = reinterpret_cast<unsigned char*>(buffer->data());
    std::fill_n(bytes, buffer->size() * sizeof(float), static_cast<unsigned char>(0x3c));
  };
  fill(&i.x);
  fill(&i.weight);
}

BareProduct::~BareProduct() = default;
BareProduct::BareProduct(BareProduct&&) noexcept = default;

void BareProduct::Run() {
  Impl& i = *impl_;
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, i.x_memory.get()},
                                       {DNNL_ARG_WEIGHTS, i.weight_memory.get()},
                                       {DNNL_ARG_DST, i.y_memory.get()},
                                       {DNNL_ARG_SCRATCHPAD, i.scratch_memory.get()}};
  dnnl_primitive_execute(i.primitive.get(), i.stream.get(), 4, arguments);
}

std::size_t BareProduct::weight_bytes() const { return impl_->weight.size() * sizeof(float); }

std::string BareProduct::implementation() const { return impl_->description.impl_info_str(); }

}  // namespace heed
