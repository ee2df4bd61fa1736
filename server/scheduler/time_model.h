// Predicts when a request that arrives now would be done, so that one whose deadline cannot be met is refused before it
// costs anything. It knows the mean time that a segment of its model spends inside an engine, as measured: a waiting
// segment starts when one inside ends, so R rows pass W waiting ones in W / R of that time.
//
// Refusing is for the hopeless: only where something waits, enough was measured and half of the prediction misses the
// deadline. Where nothing waits everything is taken, so that a bad measurement cannot outlive itself.
//
// Not thread-safe: the scheduler's lock guards it.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace heed {

// What a request finds of its model when it arrives.
struct Backlog {
  int segments = 0;             // that wait
  std::int64_t rows_ahead = 0;  // waiting ones that start before its own last job
  std::int64_t free_rows = 0;   // over all workers
  std::int64_t all_rows = 1;    // the same, free or not
};

class TimeModel {
 public:
  // Segments to be measured before any prediction.
  static constexpr int kEnough = 16;

  // A segment was done `inside` after its start.
  void OnDone(absl::Duration inside);

  // Mean time until the last job starts; zero before enough was measured.
  absl::Duration TimeToStart(const Backlog& backlog) const;
  // Mean time until it is done.
  absl::Duration TimeToEnd(const Backlog& backlog) const;

  // RESOURCE_EXHAUSTED, with the numbers, where `left` is hopelessly short for a request to be done or, if it has a
  // time budget and takes what there is, to start.
  absl::Status Check(const Backlog& backlog, absl::Duration left, bool has_budget) const;

 private:
  absl::Duration inside_;  // mean
  int measured_ = 0;       // up to kEnough
};

}  // namespace heed
