// One job's search as a small state machine: it takes each step's best candidates and says which rows go on. It does
// arithmetic on scores alone and never sees a model.
//
// A search has rows() hypotheses alive. Each step the engine runs them, offers the best candidates_per_row() tokens of
// every row, and calls Advance. Beam search follows fairseq: of the best 2 * beam continuations, those that end within
// the first `beam` are finished and the best `beam` others go on; it is done when `beam` hypotheses have finished or at
// max_length. Greedy is a beam of one.
//
// Nothing is allocated after construction until Results. Not thread-safe.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/search/options.h"

namespace heed {

class Search {
 public:
  // A hypothesis to run at the next step.
  struct Row {
    int parent = -1;            // its index among the rows of the previous step; -1 at the first step
    TokenId input = 0;          // the token that the step reads
    float log_probability = 0;  // of `input`
    float total = 0;            // log-probability so far
    float score = 0;            // the same with penalties: what rows are ranked by
  };

  // A finished hypothesis. lineage[t] is the row, among those of step t, that emitted tokens[t].
  struct Result {
    std::vector<TokenId> tokens;
    std::vector<float> log_probabilities;
    std::vector<int> lineage;
    float log_probability = 0;
    float score = 0;
    bool ended_by_eos = false;
  };

  // options must be within their bounds. The first step reads `start`.
  Search(const SearchOptions& options, TokenId start, TokenId eos);
  // No search: `forced` (not empty) is fed and scored.
  Search(const std::vector<TokenId>& forced, TokenId start, TokenId eos);

  absl::Span<const Row> rows() const;
  int steps() const { return step_; }  // steps made
  bool done() const { return done_; }

  int candidates_per_row() const { return candidates_; }
  // Whether Constrain wants to see and change each row's log-probabilities before candidates are chosen.
  bool constrains() const;
  void Constrain(int row, absl::Span<float> log_probabilities);

  // The token to score at this step when forced, else -1: candidates are then that token alone.
  TokenId forced_token() const { return forced_.empty() ? -1 : forced_[step_]; }

  // `best` holds candidates_per_row() log-probabilities per row, best first, of which found[row] count.
  void Advance(const ScoredToken* best, const int* found);

  // After done: the best n_best, best first.
  std::vector<Result> Results() const;

 private:
  struct Candidate {
    int row;
    TokenId token;
    float log_probability;
    float total;
    float score;
  };
  struct Ended {
    int step;  // that emitted its last token
    Candidate last;
    float score;
    bool eos;
  };

  void Reserve();
  void Collect(const ScoredToken* best, const int* found);
  void End(const Candidate& last, bool eos);
  float Normalised(float score, int length) const;
  void ReadPrefix(int row);  // into prefix_
  const Row& RowAt(int step, int row) const { return history_[step * width_ + row]; }

  const SearchOptions options_;
  const TokenId eos_;
  const std::vector<TokenId> forced_;
  const int width_;       // most rows
  const int candidates_;  // per row
  const int max_steps_;
  int step_ = 0;
  int live_ = 1;
  bool done_ = false;
  std::vector<Row> history_;  // [step][width_]: the rows that each step ran
  std::vector<Candidate> pool_;
  std::vector<Ended> ended_;
  std::vector<TokenId> prefix_;
};

}  // namespace heed
