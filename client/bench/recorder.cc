#include "client/bench/recorder.h"

#include <algorithm>
#include <utility>

namespace heed::bench {
namespace {

constexpr std::size_t kMostIntervals = 3600;

}  // namespace

const char* Name(Rpc rpc) {
  switch (rpc) {
    case Rpc::kTranslate:
      return "translate";
    case Rpc::kSummarize:
      return "summarize";
    case Rpc::kStreamTranslate:
      return "stream_translate";
    case Rpc::kStreamSummarize:
      return "stream_summarize";
  }
  return "";
}

std::int64_t Report::errors() const {
  std::int64_t errors = 0;
  for (const auto& [code, count] : codes) errors += code == "OK" ? 0 : count;
  return errors;
}

double Report::per_second(std::int64_t count) const {
  return measured <= absl::ZeroDuration() ? 0 : static_cast<double>(count) / absl::ToDoubleSeconds(measured);
}

void Recorder::Sent(absl::Duration due) {
  absl::MutexLock lock(&mu_);
  report_.most_in_flight = std::max(report_.most_in_flight, ++in_flight_);
  if (due >= options_.warmup) ++report_.sent;
}

void Recorder::NotSent(absl::Duration due) {
  absl::MutexLock lock(&mu_);
  if (due < options_.warmup) return;
  ++report_.sent;
  ++report_.codes["NOT_SENT"];
  ++IntervalOf(due).errors;
}

Interval& Recorder::IntervalOf(absl::Duration due) {
  std::vector<Interval>& intervals = report_.intervals;
  const absl::Duration since = due - options_.warmup;
  while (static_cast<std::size_t>(absl::FDivDuration(since, report_.interval)) >= kMostIntervals) {
    report_.interval *= 2;
    for (std::size_t i = 0; i < intervals.size(); ++i) {
      Interval taken = std::exchange(intervals[i], {});
      intervals[i / 2].latency.Merge(taken.latency);
      intervals[i / 2].errors += taken.errors;
    }
    intervals.resize((intervals.size() + 1) / 2);
  }
  const auto at = static_cast<std::size_t>(absl::FDivDuration(since, report_.interval));
  if (intervals.size() <= at) intervals.resize(at + 1);
  return intervals[at];
}

void Recorder::Add(const Outcome& outcome) {
  absl::MutexLock lock(&mu_);
  --in_flight_;
  last_end_ = std::max(last_end_, outcome.ended);
  if (outcome.due < options_.warmup) return;
  if (outcome.sent - outcome.due > options_.late) ++report_.late;
  if (outcome.cancelled && outcome.code == absl::StatusCode::kCancelled) {
    ++report_.cancelled;
    return;
  }
  ++report_.codes[absl::StatusCodeToString(outcome.code)];
  Interval& interval = IntervalOf(outcome.due);
  const absl::Duration latency = outcome.ended - outcome.due;
  if (outcome.code == absl::StatusCode::kResourceExhausted || outcome.code == absl::StatusCode::kUnavailable) {
    report_.refusals.Add(latency);
  }
  if (outcome.code != absl::StatusCode::kOk) {
    ++interval.errors;
    if (report_.first_error.ok()) report_.first_error = absl::Status(outcome.code, outcome.message);
    return;
  }
  report_.tokens += outcome.tokens;
  report_.latency.Add(latency);
  report_.by_rpc[static_cast<int>(outcome.rpc)].Add(latency);
  interval.latency.Add(latency);
  if (outcome.batch) report_.batch.Add(latency);
  if (outcome.first > absl::ZeroDuration()) report_.first_token.Add(outcome.first - outcome.due);
}

void Recorder::Close() {
  absl::MutexLock lock(&mu_);
  report_.in_flight_at_end = in_flight_;
}

int Recorder::in_flight() const {
  absl::MutexLock lock(&mu_);
  return in_flight_;
}

Report Recorder::report() const {
  absl::MutexLock lock(&mu_);
  Report report = report_;
  report.measured = std::max(absl::ZeroDuration(), last_end_ - options_.warmup);
  return report;
}

}  // namespace heed::bench
