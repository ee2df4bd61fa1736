// The word that somebody may have meant who wrote another one.
//
// Thread-safe: no state.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace heed {

// Letters to change, add or drop to get from one to the other.
int EditDistance(absl::string_view a, absl::string_view b);

// The candidate with the least distance, the first of several; empty where none is near: two letters off, or a third of
// the word's where that is more.
std::string Nearest(absl::string_view word, const std::vector<std::string>& candidates);

}  // namespace heed
