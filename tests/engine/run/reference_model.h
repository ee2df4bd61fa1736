// A checked program run the plain way: one sentence, one row, doubles, straight from program.h. It shares no code with
// the engine's packing, batching or kernels, so that agreement means something.
//
// Not thread-safe.
#pragma once

#include <map>
#include <vector>

#include "engine/model/program.h"
#include "engine/run/job.h"
#include "tests/engine/run/reference_attention.h"

namespace heed {

class ReferenceModel {
 public:
  using Vector = std::vector<double>;
  using Sequence = std::vector<Vector>;  // a vector value is a sequence of one
  using Values = std::vector<Sequence>;  // by value number

  // What one step made.
  struct StepResult {
    int position = 0;  // of the target
    Values values;
    Vector log_probabilities;
    std::vector<ReferenceAttention> attentions;  // by attend, in program order
  };

  // Encodes the job's source; of the rest of it reads copy_ids and shortlist alone. Both must outlive this. unk: what
  // is read in the place of a copied id beyond the vocabulary.
  ReferenceModel(const CheckedProgram& program, const DecodeJob& job, TokenId unk = 0);

  // The first step.
  StepResult First() const { return Step(nullptr, program_.start_id); }
  // The step after `previous`, reading `input`.
  StepResult Step(const StepResult* previous, TokenId input) const;

  // Feeds and scores `tokens`; one result per token.
  std::vector<StepResult> Force(const std::vector<TokenId>& tokens) const;
  // The best token at each step, up to `eos` (included) or max_length tokens.
  std::vector<TokenId> Greedy(TokenId eos, int max_length) const;

 private:
  const CheckedProgram& program_;
  const DecodeJob& job_;
  const TokenId unk_;
  Values encoder_, init_;
};

}  // namespace heed
