// A request's SearchOptions over its model's, and those over the defaults: field by field, each checked against its
// bound.
//
// Plain functions and values, thread-safe.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "engine/run/job.h"
#include "engine/search/options.h"
#include "heed/v1/search.pb.h"
#include "server/admission/admission.h"

namespace heed {

// What a request's jobs search with. Lengths depend on each job's source.
struct ResolvedSearch {
  SearchOptions options;  // but for min_length and max_length
  int attend = -1;        // as in DecodeJob
  bool replace_unknowns = false;

  // Lengths as a * source tokens + b, rounded down unless said otherwise.
  float max_length_a = 2;
  bool max_length_rounds_up = false;
  int max_length_b = 20;
  std::optional<int> max_length, min_length;  // in place of a and b
  std::optional<int> max_length_cap;          // beside them
  float min_length_a = 0;
  int min_length_b = 0;
  int max_target_tokens = 0;  // the server's bound

  // Sets what `job`, whose source is known, searches with. max_length is within the server's bound and never so low
  // that min_length cannot be met, unless max_length itself or max_length_cap says so; min_length is at most
  // max_length.
  void Apply(DecodeJob* job) const;
};

// INVALID_ARGUMENT names field, value and bound; FAILED_PRECONDITION where the request wants attention read (coverage,
// replacing unknowns) of a model that has none. What a model's own settings ask for is cut to the server's bounds.
absl::StatusOr<ResolvedSearch> ResolveSearch(const v1::SearchOptions& request, const ServedModel& model,
                                             const AdmissionLimits& limits);

}  // namespace heed
