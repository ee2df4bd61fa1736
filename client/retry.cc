#include "client/retry.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"

namespace heed {
namespace {

// The time that the server asks for; none when it says not to try again (negative, or no number at all).
std::optional<absl::Duration> Pushback(const std::string& pushback_ms) {
  std::int64_t ms = 0;
  if (!absl::SimpleAtoi(pushback_ms, &ms) || ms < 0) return std::nullopt;
  return absl::Milliseconds(ms);
}

}  // namespace

std::optional<absl::Duration> NextWait(const RetryOptions& options, int attempts, const Failure& failure,
                                       double uniform) {
  if (attempts >= options.max_attempts) return std::nullopt;
  const bool unavailable =
      failure.code == absl::StatusCode::kUnavailable || failure.code == absl::StatusCode::kCancelled;
  if (!unavailable && failure.code != absl::StatusCode::kResourceExhausted) return std::nullopt;
  if (failure.pushback_ms.has_value()) {
    const std::optional<absl::Duration> pushback = Pushback(*failure.pushback_ms);
    if (!pushback.has_value()) return std::nullopt;
    return *pushback * (1 + options.jitter * uniform);
  }
  if (!unavailable) return std::nullopt;
  absl::Duration wait = options.initial_backoff;
  for (int i = 1; i < attempts && wait < options.max_backoff; ++i) wait *= options.multiplier;
  return std::min(wait, options.max_backoff) * (1 - options.jitter * uniform);
}

RetryEnvironment RetryEnvironment::Real() {
  return {[] { return absl::Now(); }, [](absl::Duration duration) { absl::SleepFor(duration); },
          [] {
            thread_local std::mt19937_64 random{std::random_device{}()};
            return std::uniform_real_distribution<double>(0, 1)(random);
          }};
}

}  // namespace heed
