// A request's SearchOptions over its model's SearchDefaults: field by field, each checked against its bound.
//
// Plain functions and values, thread-safe.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "engine/run/job.h"
#include "engine/search/options.h"
#include "heed/v1/text.pb.h"
#include "server/admission/admission.h"

namespace heed {

// What a request's jobs search with. Lengths depend on each job's source.
struct ResolvedSearch {
  SearchOptions options;  // but for min_length and max_length
  int attend = -1;        // as in DecodeJob
  bool replace_unknowns = false;

  // Lengths as a * source tokens + b, rounded down.
  float max_length_a = 2;
  int max_length_b = 20;
  int max_length_cap = 0;                     // 0: none
  std::optional<int> max_length, min_length;  // the request's own, in place of a and b
  float min_length_a = 0;
  int min_length_b = 0;
  int max_target_tokens = 0;  // the server's bound

  // Sets what `job`, whose source is known, searches with. max_length is within the server's bound and, unless the
  // request set it, never so low that min_length cannot be met; min_length is at most max_length.
  void Apply(DecodeJob* job) const;
};

// INVALID_ARGUMENT names field, value and bound; FAILED_PRECONDITION where the request wants attention read (coverage,
// replacing unknowns) of a model that has none. A model's own beam_size is cut to the server's bound.
absl::StatusOr<ResolvedSearch> ResolveSearch(const v1::SearchOptions& request, const ServedModel& model,
                                             const AdmissionLimits& limits);

}  // namespace heed
