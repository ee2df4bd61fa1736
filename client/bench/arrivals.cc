#include "client/bench/arrivals.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace heed::bench {

Arrivals Arrivals::Poisson(double rate, std::uint64_t seed) {
  Arrivals arrivals;
  arrivals.kind_ = Kind::kPoisson;
  arrivals.rate_ = rate;
  arrivals.random_.seed(seed);
  return arrivals;
}

Arrivals Arrivals::Constant(double rate) {
  Arrivals arrivals;
  arrivals.rate_ = rate;
  return arrivals;
}

Arrivals Arrivals::Recorded(std::vector<absl::Duration> times) {
  Arrivals arrivals;
  arrivals.kind_ = Kind::kRecorded;
  arrivals.times_ = std::move(times);
  return arrivals;
}

std::optional<absl::Duration> Arrivals::Next() {
  const std::int64_t at = made_++;
  switch (kind_) {
    case Kind::kPoisson:
      at_ += std::exponential_distribution<double>(rate_)(random_);
      return absl::Seconds(at_);
    case Kind::kConstant:
      return absl::Seconds(static_cast<double>(at) / rate_);
    case Kind::kRecorded:
      if (at >= static_cast<std::int64_t>(times_.size())) return std::nullopt;
      return times_[static_cast<std::size_t>(at)];
  }
  return std::nullopt;
}

absl::StatusOr<std::vector<absl::Duration>> ParseArrivals(const std::string& text) {
  constexpr std::size_t kMost = 10'000'000;
  std::vector<absl::Duration> times;
  std::int64_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (line.empty()) continue;
    double seconds = 0;
    if (!absl::SimpleAtod(line, &seconds) || !(seconds >= 0 && seconds <= 1e6)) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " is no time; it must be seconds from 0 to 1000000"));
    }
    const absl::Duration time = absl::Seconds(seconds);
    if (!times.empty() && time < times.back()) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, " is earlier than the line before"));
    }
    if (times.size() == kMost) return absl::InvalidArgumentError(absl::StrCat("more than ", kMost, " times"));
    times.push_back(time);
  }
  if (times.empty()) return absl::InvalidArgumentError("no times");
  return times;
}

}  // namespace heed::bench
