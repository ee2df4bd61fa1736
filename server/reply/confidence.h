// How likely an output is right, from what search saw of it, as the bundle's calibration has it
// (heed.model.v1.Confidence), and how much of its source the model can have seen.
//
// Plain functions, thread-safe.
#pragma once

#include <optional>

#include "absl/types/span.h"
#include "heed/model/v1/model.pb.h"
#include "heed/v1/text.pb.h"
#include "server/models/registry.h"

namespace heed {

// The probability, 0 to 1, that a hypothesis with these log-probabilities (one per token, </s> included; at least one)
// is right. `source_tokens` is at least 1. A log-probability below -100 counts as -100, minus infinity too.
double SegmentConfidence(const model::v1::SegmentFit& fit, absl::Span<const float> log_probabilities,
                         int source_tokens);

// The same of its token number `t`.
double TokenConfidence(const model::v1::TokenFit& fit, absl::Span<const float> log_probabilities, std::size_t t);

// Fills in a hypothesis' confidence, whether it is doubtful, and the confidence of its tokens. One that is not whole
// (finish_reason is not EOS) or says nothing (it has no token but specials) has confidence 0.
void AddConfidence(const model::v1::Confidence& calibration, int source_tokens, v1::Hypothesis* hypothesis);

// What a segment with these source tokens says of its source; none where the bundle does not say what the model has
// seen, or no piece counts.
std::optional<v1::SourceCoverage> CoverageOf(const ServedModel& model, absl::Span<const v1::Token> source);

}  // namespace heed
