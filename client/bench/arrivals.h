// When requests are due, whatever becomes of those before: an open loop.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace heed::bench {

class Arrivals {
 public:
  // At `rate` a second (above 0), with exponential gaps: a Poisson process. The same seed gives the same times.
  static Arrivals Poisson(double rate, std::uint64_t seed);
  // One every 1 / rate seconds, the first at once.
  static Arrivals Constant(double rate);
  // At these times, ascending.
  static Arrivals Recorded(std::vector<absl::Duration> times);

  // The next time since the start; none: there are no more.
  std::optional<absl::Duration> Next();

 private:
  enum class Kind { kPoisson, kConstant, kRecorded };

  Kind kind_ = Kind::kConstant;
  double rate_ = 1;
  std::mt19937_64 random_;
  std::vector<absl::Duration> times_;
  std::int64_t made_ = 0;
  double at_ = 0;  // seconds
};

// One time in seconds a line, ascending from 0 on, at most 10 million; INVALID_ARGUMENT names the line.
absl::StatusOr<std::vector<absl::Duration>> ParseArrivals(const std::string& text);

}  // namespace heed::bench
