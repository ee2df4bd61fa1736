// When a call that failed is tried again, and after how long. Arithmetic over plain values; client.cc does the calling.
//
// Every RPC of heed is idempotent, so trying again is always safe. It happens on UNAVAILABLE (the server cannot be
// reached or is draining), on CANCELLED (nobody on this side cancels: a call that arrived just when a draining server
// closed its connections), and on RESOURCE_EXHAUSTED only if the server asked for it with a `grpc-retry-pushback-ms`
// trailer (the queue is full), and never past the caller's deadline.
//
// Plain values and functions, thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace heed {

struct RetryOptions {
  // Calls made in all, the first included; 1 never tries again.
  int max_attempts = 5;
  // The first wait; each later one is `multiplier` times the one before, at most `max_backoff`.
  absl::Duration initial_backoff = absl::Milliseconds(100);
  double multiplier = 2;
  absl::Duration max_backoff = absl::Seconds(2);
  // Up to this part of a wait is taken off at random, so that clients which failed together do not return together.
  // 0 to 1. A server's pushback is lengthened by up to this part instead: it is a least time.
  double jitter = 0.5;
};

// How a call failed.
struct Failure {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::optional<std::string> pushback_ms;  // the trailer's value, if there is one
};

// How long to wait before calling again; none: give up. `attempts` were made (at least 1); `uniform` is random in [0,
// 1).
std::optional<absl::Duration> NextWait(const RetryOptions& options, int attempts, const Failure& failure,
                                       double uniform);

// Time and chance as the client uses them; tests give their own.
struct RetryEnvironment {
  std::function<absl::Time()> now;
  std::function<void(absl::Duration)> sleep;
  std::function<double()> uniform;  // random in [0, 1)

  static RetryEnvironment Real();
};

}  // namespace heed
