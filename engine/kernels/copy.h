// A model that copies: its vocabulary's distribution mixed with one over the source (See et al. 2017; Gu et al. 2016;
// OpenNMT-py's copy attention).
//
// A row's result depends on that row alone. Plain functions, thread-safe.
#pragma once

#include "engine/base/types.h"

namespace heed {

// Attention over the source and what each position copies.
struct Copies {
  int positions = 0;
  const float* weights = nullptr;  // [positions]
  const TokenId* ids = nullptr;    // [positions], each below vocabulary + own
  const int* order = nullptr;      // [positions]: positions sorted by their id
};

// x [vocabulary + own]: on entry its first `vocabulary` elements are log-probabilities (-inf allowed), on return all
// are log(generate * e^x[id] + copy * the weights of the positions with that id), at least kNoProbability. generate and
// copy are taken as if clipped to [0, 1]. Never NaN.
void MixCopies(const Copies& copies, float generate, float copy, int vocabulary, int own, float* x);

// The part of the probability e^log_probability of `id` that copying gave it, 0 to 1, where copying has the probability
// `copy`; and the position with that id and the greatest weight (the first of equals), -1 if none has it.
struct CopiedPart {
  float share = 0;
  int position = -1;
};
CopiedPart CopiedPartOf(const Copies& copies, float copy, TokenId id, float log_probability);

}  // namespace heed
