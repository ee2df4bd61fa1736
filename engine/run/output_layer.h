// The output layer of a step: what search needs of every row's distribution over the vocabulary, or over its job's
// shortlist. The product is used up some columns at a time, while they are in the cache: a row that needs no more than
// its best tokens never has its logits in memory.
//
// Not thread-safe: one step thread owns it.
#pragma once

#include <vector>

#include "engine/kernels/gather.h"
#include "engine/kernels/output.h"
#include "engine/run/row_ops.h"
#include "engine/run/step_row.h"

namespace heed {

// What a step made of one row.
struct OutputRow {
  // Its logits, to be overwritten: of a job without a shortlist [vocabulary], else [shortlist]. With the output's bias,
  // but for a model that copies. Null: `best` is there instead.
  float* logits = nullptr;
  // Room for the candidates_per_row of its search, and those that were found, best first, by logit.
  ScoredToken* best = nullptr;
  int found = 0;
  // Over the whole vocabulary; not of a job with a shortlist, nor of a model that copies.
  float log_sum_exp = 0;
};

class OutputLayer {
 public:
  // For at most max_rows rows.
  OutputLayer(const CompiledModel& model, RowOps* ops, int max_rows, BufferMaker* buffers);
  // Memory that one takes beside its buffers.
  static std::int64_t ListBytes(int max_rows) {
    return static_cast<std::int64_t>(sizeof(ScoredToken)) * 2 * max_rows * max_rows;
  }

  // x [rows, output inputs], as RowOps::Join gives it. Rows of a job are beside one another. Allocates nothing.
  void Run(const float* x, const std::vector<StepRow>& rows);

  OutputRow& row(int r) { return rows_[r]; }

 private:
  // Whether search asks for more of a row than its best.
  bool WantsLogits(const StepRow& row) const;
  void RunFull(const float* x, int count);
  // The product alone, block by block on several cores. Floats from the first number of a block to the next's.
  std::size_t Share(const Gemm& prepared, int count);
  // Columns [first, first + size) of row i's logits, without the bias.
  void Scan(int i, int first, int size, float* columns);
  void RunListed(const float* x, int count);

  const CompiledModel& model_;
  RowOps* const ops_;
  Buffer logits_;  // [rows, vocabulary] of those that want them or have a shortlist
  Buffer columns_;
  Buffer dense_;  // x with the rows that have a shortlist last, where only some have one
  std::vector<ScoredToken> best_;
  std::vector<OutputRow> rows_;
  std::vector<int> order_;  // rows as they lie in x or dense_
  std::vector<RowScan> scans_;
  std::vector<int> wanted_;  // candidates per row
  std::vector<GatheredRow> listed_;
};

}  // namespace heed
