// What the engine is asked to decode and what it answers: ids and floats, never text.
//
// Plain values; a DecodeJob is not changed while the engine has it.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/base/types.h"
#include "engine/search/options.h"

namespace heed {

// Which attention the caller wants kept. Nothing wanted costs nothing.
struct Capture {
  bool weights = false;
  bool energies = false;
  bool contexts = false;
  std::vector<int> attends;  // indices into Plan::attends(), ascending

  bool any() const { return (weights || energies || contexts) && !attends.empty(); }
};

// One segment: its rows share one encoded source.
struct DecodeJob {
  std::vector<TokenId> source;  // specials included, at least one id
  SearchOptions search;
  Capture capture;
  // Not empty: no search; these ids (</s> included where wanted) are fed and scored, and the one hypothesis is them.
  std::vector<TokenId> forced;
  // Required where Plan::copies(), else ignored: the target id of every source token, one per source id. Ids from the
  // target vocabulary's size V on are the job's own, V, V + 1, ... in order of first occurrence without gaps; `forced`
  // and results may hold them. ValidCopyIds says whether they are so; a job without valid ones must not be admitted.
  std::vector<TokenId> copy_ids;
  // Not empty: the only ids that may be emitted, ascending and each below V; the distribution is over them alone. Only
  // where Plan::shortlists(). A forced id that is not among them has a very low, finite log-probability.
  std::vector<TokenId> shortlist;
  // The attend that `sources` and coverage penalties read, an index into Plan::attends(); -1: the last. A model
  // without attends has neither.
  int attend = -1;
  // Whether the hypotheses' `sources` are wanted (unknown pieces are to be replaced). Costs nothing where not.
  bool sources = false;
  // The positions that `sources` are chosen among: those of text, without specials. Empty: all.
  int text_begin = 0, text_end = 0;
  // Whether StepEngine::TakeProgress is wanted. Costs nothing where not.
  bool progress = false;
};

// Whether copy_ids fit a source of this length and a target vocabulary of this size.
bool ValidCopyIds(const std::vector<TokenId>& copy_ids, std::size_t source_tokens, int vocabulary);

// rows x columns floats: row t is the target token emitted at step t; column j the source position, of a context the
// j-th element (all heads side by side, head is 0).
struct AttentionMatrix {
  enum class Component { kWeights, kEnergies, kContexts };
  int attend = 0;
  int head = 0;
  Component component = Component::kWeights;
  int rows = 0;
  int columns = 0;
  std::vector<float> values;
};

// kStopped: Finish ended it before its search was done.
enum class FinishReason { kEos, kLength, kStopped };

// Where a token of a model that copies came from.
struct CopiedToken {
  float gate = 0;   // probability that this step copies
  float share = 0;  // part of the token's own probability that copying gave it, 0 to 1
  int source = -1;  // source position of that id with the greatest weight, -1: none holds it
};

struct DecodedHypothesis {
  std::vector<TokenId> tokens;           // </s> included when emitted
  std::vector<float> log_probabilities;  // one per token
  float log_probability = 0;             // their sum
  float score = 0;                       // after length normalisation
  FinishReason finish = FinishReason::kEos;
  std::vector<AttentionMatrix> attentions;  // by attend, then head, then component
  std::vector<CopiedToken> copies;          // one per token; empty unless the model copies
  // One per token where DecodeJob::sources: the source position of text that DecodeJob::attend weights most, heads
  // averaged.
  std::vector<int> sources;
};

struct DecodeResult {
  std::vector<DecodedHypothesis> hypotheses;  // best first, at most n_best
};

}  // namespace heed
