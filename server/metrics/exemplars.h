// For each bucket of a histogram the last traced observation, so that a slow bucket leads to the trace of a request
// that was slow. OpenMetrics shows them; Prometheus's own text has no place for them.
//
// Thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace heed {

struct Exemplar {
  std::string trace_id;  // 32 hex digits; empty: none
  double value = 0;
  absl::Time time;  // by the date
};

class Exemplars {
 public:
  // `bounds`: upper bounds of the buckets, inclusive, ascending, without infinity. They outlive it.
  explicit Exemplars(const std::vector<double>* bounds) : bounds_(bounds), buckets_(bounds->size() + 1) {}

  void Keep(absl::string_view trace_id, double value, absl::Time time);
  // By bucket, that of infinity last.
  std::vector<Exemplar> Get() const;

 private:
  const std::vector<double>* const bounds_;
  mutable absl::Mutex mu_;
  std::vector<Exemplar> buckets_ ABSL_GUARDED_BY(mu_);
};

// The trace id of a W3C `traceparent` ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), in lower case. Empty
// where it is not one, or where its trace is not recorded, so that it would lead nowhere.
std::string TraceIdOf(absl::string_view traceparent);

}  // namespace heed
