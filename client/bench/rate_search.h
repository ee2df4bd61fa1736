// The highest rate at which a server keeps a percentile of its latency under a limit.
//
// A plain function over what a probe says, so that tests give it a model of a server.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace heed::bench {

// What a run at some rate showed.
struct Probe {
  double rate = 0;  // requests a second, offered
  absl::Duration
      latency;  // the percentile, over the run or its second half, whichever is more: a backlog that grows shows
  double throughput = 0;   // answered requests a second
  double error_share = 0;  // of requests that did not end OK
  bool passed = false;
};

struct RateSearchOptions {
  double first_rate = 10;
  double tolerance = 0.03;  // the answer is at most this part below the lowest rate that failed
  absl::Duration limit = absl::Milliseconds(250);
  double max_error_share = 0;
  double max_rate = 1e6;
};

// Doubles the rate until a run fails, then halves the interval. A run passes if its latency and its errors are within
// their limits. Every probe in order; the best is the passed one with the highest rate, if any passed. A `run` that is
// CANCELLED ends the search with the probes before it; another error of it is the search's own.
absl::StatusOr<std::vector<Probe>> FindRate(const RateSearchOptions& options,
                                            const std::function<absl::StatusOr<Probe>(double rate)>& run);

// The passed probe with the highest rate; null: none.
const Probe* Best(const std::vector<Probe>& probes);

}  // namespace heed::bench
