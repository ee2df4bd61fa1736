// What each hypothesis of a beam has attended to so far, and the penalty on it.
//
// Nothing is allocated after construction. Not thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/search/options.h"

namespace heed {

class Coverage {
 public:
  // Room for `rows` hypotheses; none unless the options have a penalty.
  Coverage(const SearchOptions& options, int rows, int source_tokens);

  // Memory that it takes beside the object itself.
  static std::int64_t Bytes(const SearchOptions& options, int rows, int source_tokens);

  static bool Wanted(const SearchOptions& options);
  bool wanted() const { return kind_ != CoveragePenalty::kNone; }

  // Adds the weights (source_tokens of them) that `row` made at this step.
  void Add(int row, absl::Span<const float> weights);

  // coverage_beta * C of `row`, this step's weights included; 0 where no penalty is wanted. A position that got no
  // weight at all counts as one that got the smallest float.
  float Penalty(int row) const;

  // The rows of the next step come from these of this one.
  void Follow(absl::Span<const int> parents);

 private:
  const CoveragePenalty kind_;
  const float beta_;
  const int size_;                   // source tokens
  std::vector<float> before_, now_;  // [row][size_]: sums of weights without and with this step's
  std::vector<float> penalties_;     // [row], of now_
};

}  // namespace heed
