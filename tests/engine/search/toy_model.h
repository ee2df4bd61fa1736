// A model of no weights for tests of search: each prefix has a distribution and attention weights of its own, drawn
// from a generator that the prefix seeds. And the loop around a Search that an engine would run.
//
// Plain values and functions, thread-safe.
#pragma once

#include <vector>

#include "engine/search/search.h"

namespace heed {

inline constexpr TokenId kToyUnk = 0, kToyStart = 1, kToyEos = 2, kToyPad = 3;
inline constexpr int kToyVocabulary = 9, kToySource = 4;

using Prefix = std::vector<TokenId>;  // without the start token

struct ToyModel {
  unsigned seed = 0;
  float eos_bonus = 1;  // added to the logit of </s>

  std::vector<float> LogProbabilities(const Prefix& prefix) const;  // [kToyVocabulary]
  std::vector<float> Weights(const Prefix& prefix) const;           // [kToySource]
};

// One step of a search, whose rows have these prefixes after the step before: brings them up to date. `watch` as below.
void StepSearch(const ToyModel& model, Search* search, std::vector<Prefix>* prefixes, void (*watch)(bool) = nullptr);

// Searches to the end. What each row is asked for is what the header promises. `watch`, if given, is called with true
// before each call of the search and with false after it.
std::vector<Search::Result> RunSearch(const ToyModel& model, const SearchOptions& options,
                                      void (*watch)(bool) = nullptr);

}  // namespace heed
