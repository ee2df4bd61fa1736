// The arithmetic of scores: length normalisation and what a finished hypothesis is ranked by.
//
// Plain functions, thread-safe.
#pragma once

#include "engine/search/options.h"

namespace heed {

// (running - word_penalty * n) / normalisation(n) with n = tokens + length_offset. Minus infinity where n leaves
// nothing to divide by (a hypothesis of </s> alone that does not count it), as Sockeye has it.
float Normalised(const SearchOptions& options, float running, int tokens);

}  // namespace heed
