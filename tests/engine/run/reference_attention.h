// Attention and copying of the plain reference: one query over one source, doubles, straight from program.h.
#pragma once

#include <vector>

#include "engine/model/program.h"

namespace heed {

struct ReferenceAttention {
  std::vector<double> context, weights, energies;  // the last two [head * positions + position]
};

// query, keys and values are projected; a location score has no keys. coverage as weights, or empty.
ReferenceAttention ReferenceAttend(const AttendNode& node, const std::vector<double>& query,
                                   const std::vector<std::vector<double>>& keys,
                                   const std::vector<std::vector<double>>& values, const std::vector<double>& coverage);

std::vector<double> ReferenceSoftmax(const std::vector<double>& e);

// Log-probabilities over the vocabulary and the job's own ids, of logits over the vocabulary; log 0 is -1e4.
std::vector<double> ReferenceCopy(const CopyNode& node, std::vector<double> logits, double gate,
                                  const std::vector<double>& weights, const std::vector<TokenId>& ids);

}  // namespace heed
