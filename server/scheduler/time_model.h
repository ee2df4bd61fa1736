// Predicts when a request that arrives now would be done, so that one whose deadline cannot be met is refused before it
// costs anything. It knows the mean time that a segment of a model spends inside an engine, as measured: a waiting
// segment starts when one inside ends, so R rows pass W waiting ones in W / R of that time.
//
// Refusing is for the hopeless: only where something waits, enough was measured and half of the prediction misses the
// deadline. Where nothing waits everything is taken, so that a bad measurement cannot outlive itself.
//
// Not thread-safe: the scheduler's lock guards it.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace heed {

// What a request finds when it arrives.
struct Backlog {
  int segments = 0;             // of its model that wait
  std::int64_t rows_ahead = 0;  // waiting ones that start before its own last job
  std::int64_t free_rows = 0;   // of its model, over all workers
  std::int64_t all_rows = 1;    // the same, free or not
};

class TimeModel {
 public:
  // Segments to be measured before any prediction.
  static constexpr int kEnough = 16;

  explicit TimeModel(int models) : models_(models) {}

  // A segment was done `inside` after its start.
  void OnDone(int model, absl::Duration inside);

  // Mean time until the last job starts; zero before enough was measured.
  absl::Duration TimeToStart(int model, const Backlog& backlog) const;
  // Mean time until it is done.
  absl::Duration TimeToEnd(int model, const Backlog& backlog) const;

  // RESOURCE_EXHAUSTED, with the numbers, where `left` is hopelessly short for a request to be done or, if it has a
  // time budget and takes what there is, to start.
  absl::Status Check(int model, const Backlog& backlog, absl::Duration left, bool has_budget) const;

 private:
  struct Mean {
    absl::Duration inside;
    int measured = 0;  // up to kEnough
  };
  std::vector<Mean> models_;
};

}  // namespace heed
