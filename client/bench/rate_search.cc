#include "client/bench/rate_search.h"

#include <algorithm>
#include <cmath>

namespace heed::bench {

absl::StatusOr<std::vector<Probe>> FindRate(const RateSearchOptions& options,
                                            const std::function<absl::StatusOr<Probe>(double rate)>& run) {
  std::vector<Probe> probes;
  double good = 0, bad = 0;  // 0: none yet
  double rate = options.first_rate;
  constexpr double kLeast = 0.01;
  while (rate >= kLeast && rate <= options.max_rate) {
    absl::StatusOr<Probe> probe = run(rate);
    if (absl::IsCancelled(probe.status())) break;
    if (!probe.ok()) return probe.status();
    probe->rate = rate;
    probe->passed = probe->latency <= options.limit && probe->error_share <= options.max_error_share;
    probes.push_back(*probe);
    (probe->passed ? good : bad) = rate;
    if (good > 0 && bad > 0 && bad - good <= options.tolerance * bad) break;
    if (bad == 0) {
      rate = 2 * good;
    } else if (good == 0) {
      rate = bad / 2;
    } else {
      rate = std::sqrt(good * bad);
    }
  }
  return probes;
}

const Probe* Best(const std::vector<Probe>& probes) {
  const Probe* best = nullptr;
  for (const Probe& probe : probes) {
    if (probe.passed && (best == nullptr || probe.rate > best->rate)) best = &probe;
  }
  return best;
}

}  // namespace heed::bench
