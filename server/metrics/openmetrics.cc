#include "server/metrics/openmetrics.h"

#include <prometheus/metric_family.h>

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace heed {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Names end in their unit where they have one.
constexpr absl::string_view kUnits[] = {"seconds", "bytes"};

std::string Escape(absl::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\' || c == '"') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// Shortest of those that read back as the same number; whole ones as "1.0", which bounds of buckets must be.
std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::string text;
  for (int digits = 6; digits <= 17; ++digits) {
    text = absl::StrFormat("%.*g", digits, value);
    if (std::strtod(text.c_str(), nullptr) == value) break;
  }
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

// Times to the millisecond: "%g" would lose them.
std::string Timestamp(absl::Time time) {
  return absl::StrFormat("%.3f", absl::ToDoubleSeconds(time - absl::UnixEpoch()));
}

// {a="b",le="0.1"}; empty without any.
std::string Labels(const ClientMetric& metric, absl::string_view more = "") {
  std::string text;
  for (const ClientMetric::Label& label : metric.label) {
    absl::StrAppend(&text, text.empty() ? "" : ",", label.name, "=\"", Escape(label.value), "\"");
  }
  if (!more.empty()) absl::StrAppend(&text, text.empty() ? "" : ",", more);
  return text.empty() ? "" : absl::StrCat("{", text, "}");
}

std::string LabelValue(const ClientMetric& metric, absl::string_view name) {
  for (const ClientMetric::Label& label : metric.label) {
    if (label.name == name) return label.value;
  }
  return "";
}

absl::string_view TypeName(MetricType type) {
  switch (type) {
    case MetricType::Counter:
      return "counter";
    case MetricType::Gauge:
      return "gauge";
    case MetricType::Summary:
      return "summary";
    case MetricType::Histogram:
      return "histogram";
    case MetricType::Untyped:
      return "unknown";
  }
  return "unknown";
}

void WriteHistogram(absl::string_view name, const ClientMetric& metric, const std::vector<Exemplar>* exemplars,
                    std::string* text) {
  std::size_t at = 0;
  for (const ClientMetric::Bucket& bucket : metric.histogram.bucket) {
    const std::string bound = absl::StrCat("le=\"", Number(bucket.upper_bound), "\"");
    absl::StrAppend(text, name, "_bucket", Labels(metric, bound), " ", bucket.cumulative_count);
    if (exemplars != nullptr && at < exemplars->size() && !(*exemplars)[at].trace_id.empty()) {
      const Exemplar& exemplar = (*exemplars)[at];
      absl::StrAppend(text, " # {trace_id=\"", exemplar.trace_id, "\"} ", Number(exemplar.value), " ",
                      Timestamp(exemplar.time));
    }
    absl::StrAppend(text, "\n");
    ++at;
  }
  absl::StrAppend(text, name, "_count", Labels(metric), " ", metric.histogram.sample_count, "\n");
  absl::StrAppend(text, name, "_sum", Labels(metric), " ", Number(metric.histogram.sample_sum), "\n");
}

void WriteSample(absl::string_view name, MetricType type, const ClientMetric& metric, std::string* text) {
  switch (type) {
    case MetricType::Counter:
      absl::StrAppend(text, name, "_total", Labels(metric), " ", Number(metric.counter.value), "\n");
      return;
    case MetricType::Gauge:
      absl::StrAppend(text, name, Labels(metric), " ", Number(metric.gauge.value), "\n");
      return;
    case MetricType::Untyped:
      absl::StrAppend(text, name, Labels(metric), " ", Number(metric.untyped.value), "\n");
      return;
    case MetricType::Summary:
    case MetricType::Histogram:
      return;  // the first are not used; the second have buckets
  }
}

}  // namespace

std::string HistogramKey(absl::string_view family, absl::string_view model, absl::string_view version,
                         absl::string_view rpc) {
  return absl::StrCat(family, "\n", model, "\n", version, "\n", rpc);
}

std::string WriteOpenMetrics(const std::vector<MetricFamily>& families, const ExemplarsByHistogram& exemplars) {
  std::string text;
  for (const MetricFamily& family : families) {
    absl::string_view name = family.name;
    if (family.type == MetricType::Counter) absl::ConsumeSuffix(&name, "_total");
    absl::StrAppend(&text, "# HELP ", name, " ", Escape(family.help), "\n");
    absl::StrAppend(&text, "# TYPE ", name, " ", TypeName(family.type), "\n");
    for (const absl::string_view unit : kUnits) {
      if (absl::EndsWith(name, absl::StrCat("_", unit))) absl::StrAppend(&text, "# UNIT ", name, " ", unit, "\n");
    }
    for (const ClientMetric& metric : family.metric) {
      if (family.type != MetricType::Histogram) {
        WriteSample(name, family.type, metric, &text);
        continue;
      }
      const auto found = exemplars.find(HistogramKey(family.name, LabelValue(metric, "model"),
                                                     LabelValue(metric, "version"), LabelValue(metric, "rpc")));
      WriteHistogram(name, metric, found == exemplars.end() ? nullptr : &found->second, &text);
    }
  }
  return text + "# EOF\n";
}

}  // namespace heed
