// A run's report as a table for people, as JSON for programs, and as a plot.
//
// Plain functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/bench/rate_search.h"
#include "client/bench/recorder.h"

namespace heed::bench {

// The percentiles that reports give.
inline constexpr double kPercentiles[] = {50, 90, 97, 99, 99.9};

std::string Table(const Report& report);

// One object; docs/client.md lists its fields. `label` names the run in plots; `offered` is the rate, 0 of a closed
// loop.
std::string Json(const Report& report, const std::string& label, double offered);
// {"probes": [...], "best_rate": number or null}
std::string Json(const std::vector<Probe>& probes);

// What a plot's latencies are drawn over.
enum class Over { kPercentiles, kTime };

// A line of a plot.
struct Curve {
  std::string label;
  std::vector<std::pair<double, double>> points;  // percentile or second, milliseconds; ascending
};

// Over percentiles.
Curve CurveOf(const Report& report, const std::string& label);
// Of a run's JSON: one curve over percentiles, or p50 and p99 over time. INVALID_ARGUMENT for anything else.
absl::StatusOr<std::vector<Curve>> CurvesOfJson(const std::string& text, Over over);

// Percentiles on an axis that gives each further nine the same width; latencies on a logarithmic axis.
std::string Svg(const std::vector<Curve>& curves, Over over, const std::string& title);

}  // namespace heed::bench
