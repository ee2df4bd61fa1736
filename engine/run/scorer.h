// From a row's logits to the candidates that its search is offered: log-probabilities over the vocabulary, over a
// shortlist, or mixed with copying; what the search bans; the best few.
//
// Not thread-safe: one step thread owns it.
#pragma once

#include "engine/run/live_job.h"
#include "engine/run/row_ops.h"

namespace heed {

class Scorer {
 public:
  // What a step made of one row.
  struct Row {
    float* logits = nullptr;        // as OutputLayer gives them; overwritten
    float gate = 0;                 // of a model that copies, as its copy op reads them
    const float* copied = nullptr;  // weights by source position
  };

  // Sources of at most max_source_tokens.
  Scorer(const CompiledModel& model, const RowOps* ops, int max_source_tokens, BufferMaker* buffers);

  // Fills best [candidates_per_row of the job's search] for row `row` of the search, best first, and returns how many
  // there are. Allocates nothing.
  int Best(LiveJob& job, int row, const Row& made, ScoredToken* best);

 private:
  int BestListed(LiveJob& job, int row, float* logits, ScoredToken* best);
  int BestCopying(LiveJob& job, int row, const Row& made, ScoredToken* best);
  // Of log-probabilities by id.
  static int Pick(Search& search, int row, int ids, float* x, ScoredToken* best);

  const CompiledModel& model_;
  const RowOps* const ops_;
  Buffer by_id_;  // [vocabulary + max_source_tokens]
};

}  // namespace heed
