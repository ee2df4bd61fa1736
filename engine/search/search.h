// One job's search as a small state machine: it takes each step's best candidates and says which rows go on. It does
// arithmetic on scores alone and never sees a model. Ids beyond the vocabulary (copied ones) are ids like any other.
//
// A search has rows() hypotheses alive. Each step the engine runs them, and for every row
//   calls Attended, if wants_attention(),
//   shows Constrain its log-probabilities, if constrains(),
//   and offers its best candidates_per_row() tokens (of forced_token() alone where that is not -1);
// then it calls Advance. Which continuations go on and when the search is over is what SearchOptions' policies say
// (engine/search/options.h). Greedy is a beam of one.
//
// Running score: sum of log-probabilities with repetition and unknown penalties, less coverage if that counts in every
// step. Final score: (running - word_penalty * n) / normalisation(n), less coverage if it does not.
//
// Nothing is allocated after construction until Results. Not thread-safe.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/search/coverage.h"
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
    float score = 0;            // running score, but for coverage
    bool ended = false;         // it goes on past its </s> (BeamPolicy::kGoOn)
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

  // options must be within their bounds. The first step reads `start`. source_tokens is read for coverage alone.
  Search(const SearchOptions& options, TokenId start, TokenId eos, int source_tokens = 0);
  // No search: `forced` (not empty) is fed and scored.
  Search(const std::vector<TokenId>& forced, TokenId start, TokenId eos);

  absl::Span<const Row> rows() const;
  int steps() const { return step_; }  // steps made
  bool done() const { return done_; }

  int candidates_per_row() const { return candidates_; }

  // Whether Attended wants to see what each row attends to at this step.
  bool wants_attention() const { return coverage_.wanted(); }
  // The weights of row `row` at this step, one per source token, heads averaged. Once per row and step, before Advance.
  void Attended(int row, absl::Span<const float> weights) { coverage_.Add(row, weights); }

  // Whether Constrain wants to see and change each row's log-probabilities before candidates are chosen.
  bool constrains() const;
  // log_probabilities[id], over every id that may be emitted.
  void Constrain(int row, absl::Span<float> log_probabilities);

  // The only token to offer at this step, else -1.
  TokenId forced_token() const;

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
    float score;  // running score, but for coverage
    float rank;   // what continuations are compared by
  };
  struct Ended {
    int step;  // that emitted its last token
    Candidate last;
    float score;  // what results are ranked by
    float final_score;
    bool eos;
  };

  void Reserve();
  void Collect(const ScoredToken* best, const int* found);
  bool Drops(int row);
  float Running(const Candidate& c) const;
  float Rank(const Candidate& c) const;

  void Select();
  void SelectKeeping();
  void Take(const Candidate& c, int place);
  void Continue();
  void EndUnfinished();
  void End(const Candidate& last, int tokens, bool eos);
  bool Over() const;

  bool last_step() const { return step_ + 1 == max_steps_; }
  void ReadPrefix(int row);  // into prefix_
  const Row& RowAt(int step, int row) const { return history_[static_cast<std::size_t>(step) * width_ + row]; }

  const SearchOptions options_;
  const TokenId eos_;
  const std::vector<TokenId> forced_;
  const int width_;       // most rows
  const int candidates_;  // per row
  const int max_steps_;
  int step_ = 0;
  int live_ = 1;
  int finished_ = 0;         // hypotheses that have ended; of kKeep: and are in the beam
  bool best_ended_ = false;  // the best continuation of some step
  bool done_ = false;
  Coverage coverage_;
  std::vector<Row> history_;      // [step][width_]: the rows that each step ran
  std::vector<Candidate> pool_;   // of this step, best first
  std::vector<Candidate> going_;  // of those, what goes on
  std::vector<int> parents_;      // of going_
  std::vector<Ended> ended_;      // the best width_, no more can be results
  std::vector<char> places_;      // of the beam: whether one has ended there (kPlacesEnded)
  std::vector<TokenId> prefix_;
};

}  // namespace heed
