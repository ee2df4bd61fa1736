// y = f(x W^T + bias) with W packed once, in float32, bfloat16 or int8: the only door to oneDNN.
//
// PackedMatrix holds a weight in oneDNN's blocked layout, shared by all workers. A Gemm is one worker's set of
// primitives for it, one per number of rows (a primitive with a run-time number of rows falls back to a slow kernel).
// x and y are float32 whatever the weight is: x is rounded to its precision on the way in (quantise.h).
//
// A row of y does not depend on how many rows stand beside it, bit for bit. int8 sums are exact. oneDNN's brgemm
// kernels have that property for every number of rows; where its older gemm is used (AVX2), rows are padded up to a
// multiple of 6 and done at most 72 at a time, which has it too (beyond 72 it does not hold: oneDNN 2.6.3 and 3.7.2);
// of bfloat16 small products have another kernel with AMX, so few rows are padded up to where the kernel is the one of
// many. A test sweeps every number of rows, under every instruction set that can be forced.
//
// PackedMatrix is immutable, so safe to share. Gemm is not thread-safe: one step thread owns it. A thread that makes
// either runs oneDNN single-threaded from then on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/activation.h"
#include "engine/base/buffer.h"
#include "engine/base/part_times.h"
#include "engine/kernels/instruction_set.h"
#include "engine/kernels/packing.h"
#include "engine/kernels/quantise.h"

namespace heed {

class PackedMatrix {
 public:
  // INTERNAL when oneDNN refuses. `weight` is as `packing` says.
  static absl::StatusOr<std::shared_ptr<const PackedMatrix>> Pack(const Weight& weight, const Packing& packing);
  // Memory that one would take; a narrow matrix is padded, so that may be far more than its elements'. The same errors.
  static absl::StatusOr<std::int64_t> Bytes(const Packing& packing);
  // Memory that packing takes meanwhile beside the weight.
  static std::int64_t MakingBytes(const Packing& packing);
  ~PackedMatrix();

  const Packing& packing() const { return packing_; }
  int n() const { return packing_.n; }
  int k() const { return packing_.k; }
  std::size_t bytes() const { return bytes_; }

 private:
  friend class Gemm;
  struct Impl;
  PackedMatrix(const Packing& packing, std::unique_ptr<Impl> impl);
  const Packing packing_;
  std::size_t bytes_ = 0;
  const std::unique_ptr<Impl> impl_;
};

// Where a worker's products round their x: one for all of its Gemms. Not thread-safe.
struct GemmScratch {
  // For every weight of these packings at max_rows rows.
  static GemmScratch Make(const std::vector<Packing>& packings, int max_rows, BufferMaker* buffers);

  Buffer converted;          // [rows, k] of u8 or bfloat16
  Buffer scale;              // [rows]
  Buffer zero;               // [rows] int32
  QuantisedRows rounded() {  // of int8
    return {reinterpret_cast<std::uint8_t*>(converted.data()), scale.data(),
            reinterpret_cast<std::int32_t*>(zero.data())};
  }
  PartTimes* parts = nullptr;
};

class Gemm {
 public:
  // Primitives for every number of rows up to max_rows. `scratch` outlives it. INTERNAL when oneDNN refuses.
  static absl::StatusOr<std::unique_ptr<Gemm>> Make(std::shared_ptr<const PackedMatrix> w, int max_rows,
                                                    GemmScratch* scratch);
  // What a thread calls first that multiplies with what another has made.
  static void StartThread();
  // Memory that one takes at most, whatever its size: descriptions of its primitives, and their scratch.
  static std::int64_t Bytes(int max_rows);
  // The same of the code of its primitives, which all that are made of weights of one packing share.
  static std::int64_t CodeBytes(int max_rows);
  ~Gemm();

  // y = f(x W^T + bias). x [rows, k], y [rows, n], both dense, 64-byte aligned and with room for PaddedRows(max_rows)
  // rows, and for 64: rows beyond `rows` may be read and written. bias [n] may be null. 1 <= rows <= max_rows. Not of a
  // streamed weight.
  void Run(int rows, const float* x, float* y, const float* bias = nullptr, Activation f = Activation::kIdentity);

  // Of a streamed weight: takes x in, then gives columns [block * block_columns(), ...) of x W^T, of which
  // BlockSize(block) count: y [rows, block_columns()], aligned, StreamedFloats(n, max_rows) in all. No other product of
  // the same scratch may run in between. Blocks may be wider for few rows: their number and size are the last
  // Prepare's.
  void Prepare(int rows, const float* x);
  void RunBlock(int block, float* y);
  int blocks() const;
  int block_columns() const;
  int BlockSize(int block) const;
  // Of the narrowest blocks, whatever the last Prepare's are: what is summed over columns is summed over stretches of
  // these first, so that its bits are the same for every number of rows.
  int stretch_columns() const { return columns_; }
  static std::size_t StreamedFloats(int n, int max_rows);

  // A streamed product of few rows, its blocks done at the same time by several threads, each with a Gemm of its own:
  // one of MakeShared, which takes what `of` has prepared. Blocks are narrow ones for every number of rows. They write
  // RowsWritten(rows) rows.
  static constexpr int kSharedRows = 8;
  static absl::StatusOr<std::unique_ptr<Gemm>> MakeShared(std::shared_ptr<const PackedMatrix> w, GemmScratch* scratch);
  void Follow(const Gemm& of);
  int RowsWritten(int rows) const;
  // Whether that can be faster at all: there are blocks to part, and enough in them.
  static bool MayShare(const Packing& packing);

  // Of an int8 weight of one part: x as it is multiplied, until the next product of the same scratch.
  QuantisedRows Round(int rows, const float* x);

  int n() const { return w_->n(); }
  int k() const { return w_->k(); }

  // Rows that a call with `rows` rows works on; never decreases with rows.
  static int PaddedRows(int rows);

 private:
  struct Sized;
  Gemm(std::shared_ptr<const PackedMatrix> w, GemmScratch* scratch, bool shared);
  static absl::StatusOr<std::unique_ptr<Gemm>> Make(std::shared_ptr<const PackedMatrix> w, int max_rows,
                                                    GemmScratch* scratch, bool shared);
  // Rounds rows of x as `part` of the weight's rows has it; what the primitives read.
  const void* Convert(int rows, const float* x, int part);
  void Multiply(int rows, const void* x, int block, float* y);
  bool InOne() const;  // whether the prepared product is one block
  void Dequantise(int rows, int block, int stride, const float* bias, Activation f, float* y);

  const std::shared_ptr<const PackedMatrix> w_;
  GemmScratch* const scratch_;
  const bool shared_;  // of MakeShared; the time is the whole product's, and told by who runs it
  const int blocks_, columns_;
  std::vector<int> index_of_rows_;  // rows -> index into sized_
  std::vector<std::unique_ptr<Sized>> sized_;
  int prepared_rows_ = 0;
  const void* prepared_ = nullptr;
};

}  // namespace heed
