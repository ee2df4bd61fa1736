#include "client/bench/print.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace heed::bench {
namespace {

using nlohmann::json;

// A server's message may be no UTF-8.
std::string Dump(const json& out) {
  return out.dump(1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace) + "\n";
}

double Ms(absl::Duration duration) { return absl::ToDoubleMilliseconds(duration); }

std::string PercentileName(double percent) { return absl::StrFormat("p%g", percent); }

json Latencies(const Histogram& histogram) {
  json out = {{"count", histogram.count()}, {"mean_ms", Ms(histogram.mean())}, {"max_ms", Ms(histogram.max())}};
  for (double percent : kPercentiles) out[PercentileName(percent) + "_ms"] = Ms(histogram.Percentile(percent));
  return out;
}

std::string Row(const std::string& name, const Histogram& histogram) {
  std::string row = absl::StrFormat("%-18s %8d %9.2f", name, histogram.count(), Ms(histogram.mean()));
  for (double percent : kPercentiles) absl::StrAppendFormat(&row, " %9.2f", Ms(histogram.Percentile(percent)));
  absl::StrAppendFormat(&row, " %9.2f\n", Ms(histogram.max()));
  return row;
}

// The percentiles of a plot's curve: ten to each nine.
std::vector<double> CurvePercentiles() {
  std::vector<double> percents;
  double rest = 100;
  for (int nine = 0; nine < 4; ++nine, rest /= 10) {
    for (int tenth = 0; tenth < 9; ++tenth) percents.push_back(100 - rest + rest * tenth / 10);
  }
  percents.push_back(100 - rest);
  return percents;
}

}  // namespace

std::string Table(const Report& report) {
  std::string out = absl::StrFormat(
      "%d requests in %s: %d OK, %d errors, %d cancelled on purpose, %d sent late\n%.2f requests/s, %.1f target "
      "tokens/s; at most %d in flight\n\n%-18s %8s %9s",
      report.sent, absl::FormatDuration(absl::Trunc(report.measured, absl::Milliseconds(1))), report.ok(),
      report.errors(), report.cancelled, report.late, report.per_second(report.ok()), report.per_second(report.tokens),
      report.most_in_flight, "milliseconds", "requests", "mean");
  for (double percent : kPercentiles) absl::StrAppendFormat(&out, " %9s", PercentileName(percent));
  absl::StrAppendFormat(&out, " %9s\n", "max");
  absl::StrAppend(&out, Row("latency", report.latency));
  for (int rpc = 0; rpc < kRpcs; ++rpc) {
    const std::int64_t count = report.by_rpc[rpc].count();
    if (count > 0 && count < report.ok()) {
      absl::StrAppend(&out, Row(absl::StrCat("  ", Name(static_cast<Rpc>(rpc))), report.by_rpc[rpc]));
    }
  }
  if (report.batch.count() > 0) absl::StrAppend(&out, Row("  batch priority", report.batch));
  if (report.first_token.count() > 0) absl::StrAppend(&out, Row("first token", report.first_token));
  if (report.refusals.count() > 0) absl::StrAppend(&out, Row("refusals", report.refusals));
  for (const auto& [code, count] : report.codes) {
    if (code != "OK") absl::StrAppendFormat(&out, "%s: %d\n", code, count);
  }
  if (!report.first_error.ok()) {
    absl::StrAppend(
        &out, "the first error: ", absl::StrReplaceAll(report.first_error.message(), {{"\n", " "}, {"\r", " "}}), "\n");
  }
  return out;
}

std::string Json(const Report& report, const std::string& label, double offered) {
  json out = {{"label", label},
              {"offered_per_s", offered},
              {"seconds", absl::ToDoubleSeconds(report.measured)},
              {"sent", report.sent},
              {"ok", report.ok()},
              {"errors", report.errors()},
              {"cancelled", report.cancelled},
              {"late", report.late},
              {"tokens", report.tokens},
              {"requests_per_s", report.per_second(report.ok())},
              {"tokens_per_s", report.per_second(report.tokens)},
              {"most_in_flight", report.most_in_flight},
              {"in_flight_at_end", report.in_flight_at_end},
              {"codes", report.codes},
              {"first_error", std::string(report.first_error.message())},
              {"latency", Latencies(report.latency)},
              {"batch", Latencies(report.batch)},
              {"first_token", Latencies(report.first_token)},
              {"refusals", Latencies(report.refusals)}};
  for (int rpc = 0; rpc < kRpcs; ++rpc) {
    if (report.by_rpc[rpc].count() > 0) out["by_rpc"][Name(static_cast<Rpc>(rpc))] = Latencies(report.by_rpc[rpc]);
  }
  out["interval_s"] = absl::ToDoubleSeconds(report.interval);
  out["intervals"] = json::array();
  for (const Interval& interval : report.intervals) {
    json latencies = Latencies(interval.latency);
    latencies["errors"] = interval.errors;
    out["intervals"].push_back(std::move(latencies));
  }
  out["curve"] = json::array();
  for (const auto& [percent, ms] : CurveOf(report, label).points) out["curve"].push_back({percent, ms});
  return Dump(out);
}

std::string Json(const std::vector<Probe>& probes) {
  json out = {{"probes", json::array()}};
  for (const Probe& probe : probes) {
    out["probes"].push_back({{"rate", probe.rate},
                             {"latency_ms", Ms(probe.latency)},
                             {"throughput", probe.throughput},
                             {"error_share", probe.error_share},
                             {"passed", probe.passed}});
  }
  const Probe* best = Best(probes);
  out["best_rate"] = best == nullptr ? json() : json(best->rate);
  return Dump(out);
}

Curve CurveOf(const Report& report, const std::string& label) {
  Curve curve{label, {}};
  if (report.latency.count() == 0) return curve;
  for (double percent : CurvePercentiles()) {
    // Beyond the last request a percentile says no more.
    if ((100 - percent) / 100 * static_cast<double>(report.latency.count()) < 1 - 1e-9) break;
    curve.points.emplace_back(percent, Ms(report.latency.Percentile(percent)));
  }
  return curve;
}

namespace {

std::optional<double> NumberIn(const json& object, const std::string& name, double most) {
  if (!object.is_object() || !object.contains(name) || !object[name].is_number()) return std::nullopt;
  const auto number = object[name].get<double>();
  return number >= 0 && number <= most ? std::optional<double>(number) : std::nullopt;
}

std::optional<Curve> OverPercentiles(const json& run) {
  Curve curve;
  for (const json& point : run["curve"]) {
    if (!point.is_array() || point.size() != 2 || !point[0].is_number() || !point[1].is_number()) return std::nullopt;
    const auto percent = point[0].get<double>(), ms = point[1].get<double>();
    if (!(percent >= 0 && percent < 100 && ms >= 0 && ms < 1e9)) return std::nullopt;
    curve.points.emplace_back(percent, ms);
  }
  return curve;
}

// A percentile of each interval that has one, at the interval's begin.
std::optional<Curve> OverTime(const json& run, const std::string& percentile) {
  const std::optional<double> interval = NumberIn(run, "interval_s", 1e9);
  if (!interval.has_value() || !run.contains("intervals") || !run["intervals"].is_array()) return std::nullopt;
  Curve curve;
  double at = 0;
  for (const json& part : run["intervals"]) {
    const std::optional<double> count = NumberIn(part, "count", 1e18), ms = NumberIn(part, percentile + "_ms", 1e9);
    if (!count.has_value() || !ms.has_value()) return std::nullopt;
    if (*count > 0) curve.points.emplace_back(at, *ms);
    at += *interval;
  }
  return curve;
}

}  // namespace

absl::StatusOr<std::vector<Curve>> CurvesOfJson(const std::string& text, Over over) {
  const json run = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const absl::Status bad = absl::InvalidArgumentError("it is not what `heed bench --json` writes");
  if (!run.is_object() || !run.contains("curve") || !run["curve"].is_array()) return bad;
  std::string label;
  if (run.contains("label") && run["label"].is_string()) label = run["label"].get<std::string>();
  std::vector<Curve> curves;
  for (const char* percentile : {"p50", "p99"}) {
    std::optional<Curve> curve = over == Over::kTime ? OverTime(run, percentile) : OverPercentiles(run);
    if (!curve.has_value()) return bad;
    curve->label = over == Over::kTime ? absl::StrCat(label, " ", percentile) : label;
    curves.push_back(*std::move(curve));
    if (over == Over::kPercentiles) break;
  }
  return curves;
}

}  // namespace heed::bench
