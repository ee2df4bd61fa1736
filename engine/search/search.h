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

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/search/coverage.h"
#include "engine/search/history.h"
#include "engine/search/options.h"

namespace heed {

class Search {
 public:
  using Row = History::Row;

  // A finished hypothesis, or part of one (`Settled`), whose scores are not set.
  struct Result : History::Path {
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

  // Ends a search that is not done with what it has: its hypotheses compete with those that ended by the same scores,
  // as at max_length with UnfinishedPolicy::kCount. None where no step was made.
  void Stop();
  bool stopped() const { return stopped_; }  // by Stop

  // After done: the best n_best, best first.
  std::vector<Result> Results() const;

  // Looks again how many tokens all hypotheses that can still be results have in common, and says whether there are
  // more than before. Between steps; a search that nobody asks spends nothing on it.
  bool Settle();
  // Those tokens from number `begin` on, which no later step nor Stop changes; once done, the best result's.
  Result Settled(int begin) const;

  // Memory that a search over these options (or of `forced`, where that is not empty) takes beside the object itself.
  static std::int64_t Bytes(const SearchOptions& options, const std::vector<TokenId>& forced, int source_tokens);

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
  void SortEnded();
  void SelectKeeping();
  void Take(const Candidate& c, int place);
  void Continue();
  void EndUnfinished();
  void End(const Candidate& last, int tokens, bool eos);
  bool Over() const;

  bool last_step() const { return step_ + 1 == max_steps_; }
  void ReadPrefix(int row);  // into prefix_
  const Row& RowAt(int row) const { return history_.At({step_, row}); }
  Result Traced(const Ended& ended, int begin) const;

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
  bool stopped_ = false;
  Coverage coverage_;
  History history_;
  History::Node settled_;         // what Settle found last
  std::vector<Candidate> pool_;   // of this step, best first
  std::vector<Candidate> going_;  // of those, what goes on
  std::vector<int> parents_;      // of going_
  std::vector<Ended> ended_;      // the best width_, no more can be results
  std::vector<char> places_;      // of the beam: whether one has ended there (kPlacesEnded)
  std::vector<TokenId> prefix_;
};

}  // namespace heed
