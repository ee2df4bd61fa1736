// What packing and multiplying ask of oneDNN: how a product is described, and how its weight lies in memory. gemm.cc
// alone includes it.
//
// Plain functions; thread-safe.
#pragma once

#include <dnnl.hpp>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/precision.h"
#include "engine/kernels/packing.h"

namespace heed {

inline constexpr int kManyRows = 64;           // a full batch: layouts and kernels are those of so many
inline constexpr int kStreamedColumns = 2048;  // of a block at most

const dnnl::engine& CpuEngine();

// What multiplies: int8 sums of a deeper product would not fit 32 bits.
Precision Used(const Packing& p);

// The weight goes in so many blocks of so many rows (columns of the product): of a streamed one whole vectors, the last
// filled up with zeros.
int Blocks(const Packing& p);
int Columns(const Packing& p);
int StreamedColumns(int n);

// y [rows, n] = x [rows, k] W^T, rows of y y_stride apart.
dnnl::matmul::primitive_desc Describe(Precision precision, int rows, int n, int k, int y_stride,
                                      const dnnl::memory::desc& weight);

// Whether rows of a float32 product are the same for every number of rows without padding.
bool RowsAreIndependent();

// Of one block of a weight; it is the same for every number of rows.
dnnl::memory::desc PackedLayout(const Packing& p);

// Of all blocks of a streamed int8 weight at once, where that is no more than the blocks one after the other: it is so
// of layouts whose outermost stretches are of columns.
std::optional<dnnl::memory::desc> WholeLayout(const Packing& p);

// oneDNN's code generator does not look whether it got the pages that it writes to: without them the process would end
// by a signal. One primitive takes a few of these megabytes at most. Throws std::bad_alloc.
void CheckThereIsRoomForCode();

// INTERNAL where oneDNN refuses. Memory that is lacking is said by std::bad_alloc, as everywhere.
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

}  // namespace heed
