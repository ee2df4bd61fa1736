// Latencies in buckets whose width grows with the value, as HdrHistogram has them: 128 to each power of two, so that a
// percentile is off by at most 1/128 (0.8 %) of its value, whatever was recorded.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace heed::bench {

class Histogram {
 public:
  // Negative latencies count as 0, those beyond an hour as an hour.
  void Add(absl::Duration latency);
  void Merge(const Histogram& other);

  std::int64_t count() const { return count_; }
  absl::Duration mean() const;
  absl::Duration max() const { return absl::Nanoseconds(max_); }
  // The least latency that `percent` (0 to 100) of all are not above, as the upper end of its bucket, at most max();
  // 0 where nothing was recorded.
  absl::Duration Percentile(double percent) const;

 private:
  std::vector<std::int64_t> counts_;  // up to the greatest bucket that holds something
  std::int64_t count_ = 0;
  std::int64_t max_ = 0;
  double sum_ = 0;  // nanoseconds
};

}  // namespace heed::bench
