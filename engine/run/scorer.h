// From a row's logits to the candidates that its search is offered: log-probabilities over the vocabulary, over a
// shortlist, or mixed with copying; what the search bans; the best few.
//
// Not thread-safe: one step thread owns it.
#pragma once

#include "engine/run/live_job.h"
#include "engine/run/output_layer.h"
#include "engine/run/row_ops.h"

namespace heed {

class Scorer {
 public:
  // Of a model that copies, what its copy op reads of one row.
  struct Copying {
    float gate = 0;
    const float* weights = nullptr;  // by source position
  };

  // Sources of at most max_source_tokens.
  Scorer(const CompiledModel& model, const RowOps* ops, int max_source_tokens, BufferMaker* buffers);

  // Fills made->best with log-probabilities for row `row` of the job's search, best first, and returns how many there
  // are. Allocates nothing.
  int Best(LiveJob& job, int row, const Copying& copying, OutputRow* made);

 private:
  int BestListed(LiveJob& job, int row, float* logits, ScoredToken* best);
  int BestCopying(LiveJob& job, int row, const Copying& copying, const OutputRow& made);
  // Of log-probabilities by id.
  static int Pick(Search& search, int row, int ids, float* x, ScoredToken* best);

  const CompiledModel& model_;
  const RowOps* const ops_;
  Buffer by_id_;  // [vocabulary + max_source_tokens]
};

}  // namespace heed
