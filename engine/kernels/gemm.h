// y = x W^T with W packed once: the only door to oneDNN.
//
// PackedMatrix holds a weight in oneDNN's blocked layout, shared by all workers. A Gemm is one worker's set of
// primitives for it, one per number of rows (a primitive with a run-time number of rows falls back to a slow kernel).
//
// A row of y does not depend on how many rows stand beside it, bit for bit: oneDNN's brgemm kernels have that property
// for every number of rows; where its older gemm is used (AVX2), rows are padded up to a multiple of 6, which has it
// too. A test sweeps every number of rows.
//
// PackedMatrix is immutable, so safe to share. Gemm is not thread-safe: one step thread owns it. A thread that makes
// either runs oneDNN single-threaded from then on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/precision.h"

namespace heed {

// Of a weight, [n, k].
struct MatrixShape {
  int n = 0, k = 0;
};

// FAILED_PRECONDITION naming the instruction that products of this precision need and the machine (or
// ONEDNN_MAX_CPU_ISA) lacks: bfloat16 needs AVX512_BF16 or AMX_BF16, int8 nothing (see Int8IsFine).
absl::Status CheckPrecision(Precision precision);

// Whether products of int8 have all 8 bits: with VNNI. Without it what weights are multiplied with has 7 bits, so that
// the 16-bit sums of two products do not saturate: as exact, but half as fine.
bool Int8IsFine();

class PackedMatrix {
 public:
  // `w` is row-major [n, k]. INTERNAL when oneDNN refuses.
  static absl::StatusOr<std::shared_ptr<const PackedMatrix>> Pack(int n, int k, const float* w);
  // Memory that one would take; a narrow matrix is padded, so that may be far more than its elements'. The same errors.
  static absl::StatusOr<std::int64_t> Bytes(int n, int k);
  ~PackedMatrix();

  int n() const { return n_; }
  int k() const { return k_; }
  std::size_t bytes() const { return bytes_; }

 private:
  friend class Gemm;
  struct Impl;
  PackedMatrix(int n, int k, std::unique_ptr<Impl> impl);
  int n_, k_;
  std::size_t bytes_ = 0;
  std::unique_ptr<Impl> impl_;
};

class Gemm {
 public:
  // Primitives for every number of rows up to max_rows. INTERNAL when oneDNN refuses.
  static absl::StatusOr<std::unique_ptr<Gemm>> Make(std::shared_ptr<const PackedMatrix> w, int max_rows);
  // Memory that one takes at most, whatever its size: descriptions of its primitives, and their scratch.
  static std::int64_t Bytes(int max_rows);
  // The same of the code of its primitives, which all that are made of weights of one shape share.
  static std::int64_t CodeBytes(int max_rows);
  ~Gemm();

  // x [rows, k], y [rows, n], both dense, 64-byte aligned and with room for PaddedRows(max_rows) rows: up to
  // PaddedRows(rows) rows are read and written. 1 <= rows <= max_rows.
  void Run(int rows, const float* x, float* y);

  int n() const { return w_->n(); }
  int k() const { return w_->k(); }

  // Rows that a call with `rows` rows works on; never decreases with rows.
  static int PaddedRows(int rows);

 private:
  struct Sized;
  explicit Gemm(std::shared_ptr<const PackedMatrix> w);
  std::shared_ptr<const PackedMatrix> w_;
  std::vector<int> index_of_rows_;  // rows -> index into sized_
  std::vector<std::unique_ptr<Sized>> sized_;
};

}  // namespace heed
