// What became of a run's requests. Latency counts from the time at which a request was due, not from when it was sent:
// a generator or a server that stalls shows in every request that was due meanwhile (no coordinated omission).
//
// Recorder is thread-safe; the others are plain values.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/bench/histogram.h"

namespace heed::bench {

enum class Rpc { kTranslate, kSummarize, kStreamTranslate, kStreamSummarize };
inline constexpr int kRpcs = 4;
// "translate", "stream_summarize".
const char* Name(Rpc rpc);

// One request that has ended. Times since the start of the run.
struct Outcome {
  Rpc rpc = Rpc::kTranslate;
  bool batch = false;  // priority
  absl::Duration due, sent, ended;
  absl::Duration first;  // first token of a stream; zero: none came
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string message;      // of an error
  bool cancelled = false;   // by the generator, on purpose
  std::int64_t tokens = 0;  // target tokens of the best hypotheses
};

struct RecorderOptions {
  absl::Duration warmup;                        // requests due before it do not count
  absl::Duration interval = absl::Seconds(1);   // of the time series; doubled where there would be more than 3600
  absl::Duration late = absl::Milliseconds(1);  // a request sent more than this after it was due counts as late
};

// One interval of the run, by the time at which requests were due.
struct Interval {
  Histogram latency;  // of those answered OK
  std::int64_t errors = 0;
};

struct Report {
  absl::Duration measured;  // from the end of the warm-up to the last end
  std::int64_t sent = 0;    // that were due after the warm-up, whatever became of them
  std::int64_t late = 0;
  std::int64_t cancelled = 0;                 // on purpose
  std::map<std::string, std::int64_t> codes;  // of the others, by gRPC code, and "NOT_SENT"
  absl::Status first_error;                   // OK: there was none
  std::int64_t tokens = 0;                    // of answered requests
  Histogram latency;                          // of those answered OK
  std::array<Histogram, kRpcs> by_rpc;
  Histogram batch;        // of requests with batch priority
  Histogram first_token;  // of streams
  Histogram refusals;     // RESOURCE_EXHAUSTED and UNAVAILABLE
  std::vector<Interval> intervals;
  absl::Duration interval;
  int most_in_flight = 0;
  int in_flight_at_end = 0;  // when the last request was sent

  std::int64_t ok() const { return latency.count(); }
  std::int64_t errors() const;  // neither OK nor cancelled on purpose
  double per_second(std::int64_t count) const;
};

class Recorder {
 public:
  explicit Recorder(const RecorderOptions& options) : options_(options) { report_.interval = options.interval; }

  void Sent(absl::Duration due);
  // A request that was due was not sent: too many were under way. It counts as an error.
  void NotSent(absl::Duration due);
  void Add(const Outcome& outcome);
  // The last request was sent.
  void Close();
  int in_flight() const;

  Report report() const;

 private:
  // The interval of a request that was due after the warm-up.
  Interval& IntervalOf(absl::Duration due) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const RecorderOptions options_;
  mutable absl::Mutex mu_;
  Report report_ ABSL_GUARDED_BY(mu_);
  absl::Duration last_end_ ABSL_GUARDED_BY(mu_);
  int in_flight_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace heed::bench
