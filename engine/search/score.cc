#include "engine/search/score.h"

#include <cmath>
#include <limits>

namespace heed {

float Normalised(const SearchOptions& options, float running, int tokens) {
  const float n = static_cast<float>(tokens + options.length_offset);
  const float score = running - options.word_penalty * n;
  if (options.length_normalization == LengthNormalization::kNone || options.length_alpha == 0) return score;
  const bool gnmt = options.length_normalization == LengthNormalization::kGnmt;
  const float length = gnmt ? (options.length_beta + n) / (options.length_beta + 1) : n;
  if (length <= 0) return -std::numeric_limits<float>::infinity();
  return score / std::pow(length, options.length_alpha);
}

}  // namespace heed
