// The library's metrics as OpenMetrics 1.0.0 text, which it cannot write itself: counters named with their `_total`,
// units, exemplars, and an end that shows a scraper that nothing is missing.
//
// Plain functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "server/metrics/exemplars.h"

namespace prometheus {
struct MetricFamily;
}  // namespace prometheus

namespace heed {

// By histogram (HistogramKey): its exemplars by bucket.
using ExemplarsByHistogram = absl::flat_hash_map<std::string, std::vector<Exemplar>>;
std::string HistogramKey(absl::string_view family, absl::string_view model, absl::string_view version,
                         absl::string_view rpc);

std::string WriteOpenMetrics(const std::vector<prometheus::MetricFamily>& families,
                             const ExemplarsByHistogram& exemplars);

}  // namespace heed
