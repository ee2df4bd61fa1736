#include "client/bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace heed::bench {
namespace {

constexpr std::int64_t kMost = 3'600'000'000'000;  // nanoseconds

// Values below 256 have a bucket each; above, a power of two has 128.
int BucketOf(std::int64_t value) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(value))) - 8);
  return shift * 128 + static_cast<int>(value >> shift);
}

std::int64_t LastOf(int bucket) {
  const int shift = std::max(0, bucket / 128 - 1);
  return ((std::int64_t{bucket - shift * 128} + 1) << shift) - 1;
}

}  // namespace

void Histogram::Add(absl::Duration latency) {
  const std::int64_t value =
      std::clamp<std::int64_t>(absl::ToInt64Nanoseconds(std::min(latency, absl::Hours(1))), 0, kMost);
  const auto bucket = static_cast<std::size_t>(BucketOf(value));
  if (bucket >= counts_.size()) counts_.resize(bucket + 1);
  ++counts_[bucket];
  ++count_;
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value);
}

void Histogram::Merge(const Histogram& other) {
  if (counts_.size() < other.counts_.size()) counts_.resize(other.counts_.size());
  for (std::size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

absl::Duration Histogram::mean() const {
  return count_ == 0 ? absl::ZeroDuration() : absl::Nanoseconds(sum_ / static_cast<double>(count_));
}

absl::Duration Histogram::Percentile(double percent) const {
  if (count_ == 0) return absl::ZeroDuration();
  const double share = std::clamp(percent, 0.0, 100.0) / 100;
  const auto rank =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(share * static_cast<double>(count_))));
  std::int64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= rank) return absl::Nanoseconds(std::min(LastOf(static_cast<int>(i)), max_));
  }
  return max();
}

}  // namespace heed::bench
