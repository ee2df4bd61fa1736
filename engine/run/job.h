// What the engine is asked to decode and what it answers: ids and floats, never text.
//
// Plain values; a DecodeJob is not changed while the engine has it.
#pragma once

#include <vector>

#include "engine/base/types.h"
#include "engine/search/options.h"

namespace heed {

// Which attention the caller wants kept. Nothing wanted costs nothing.
struct Capture {
  bool weights = false;
  bool energies = false;
  std::vector<int> attends;  // indices into StepEngine's attends, ascending

  bool any() const { return (weights || energies) && !attends.empty(); }
};

// One segment: its rows share one encoded source.
struct DecodeJob {
  std::vector<TokenId> source;  // specials included, at least one id
  SearchOptions search;
  Capture capture;
  // Not empty: no search; these ids (</s> included where wanted) are fed and scored, and the one hypothesis is them.
  std::vector<TokenId> forced;
};

// rows x columns floats: row t is the target token emitted at step t, column j the source position.
struct AttentionMatrix {
  int attend = 0;
  int head = 0;
  bool energies = false;
  int rows = 0;
  int columns = 0;
  std::vector<float> values;
};

enum class FinishReason { kEos, kLength };

struct DecodedHypothesis {
  std::vector<TokenId> tokens;           // </s> included when emitted
  std::vector<float> log_probabilities;  // one per token
  float log_probability = 0;             // their sum
  float score = 0;                       // after length normalisation
  FinishReason finish = FinishReason::kEos;
  std::vector<AttentionMatrix> attentions;
};

struct DecodeResult {
  std::vector<DecodedHypothesis> hypotheses;  // best first, at most n_best
};

}  // namespace heed
