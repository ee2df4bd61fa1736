// What the server counts, as Prometheus reads it: docs/metrics.md lists the names. Callers see plain structs; the
// Prometheus library stays in metrics.cc and openmetrics.cc. Who may read it over a network is server/http's.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "heed/v1/model.pb.h"
#include "server/scheduler/scheduler.h"

namespace heed {

enum class Rpc { kTranslate, kSummarize, kStreamTranslate, kStreamSummarize, kListModels, kGetModel };
// "Translate".
const char* RpcName(Rpc rpc);
// "INVALID_ARGUMENT".
const char* CodeName(absl::StatusCode code);

// One decoded segment.
struct SegmentSample {
  absl::Duration queued;       // arrival at the scheduler to its first step
  absl::Duration first_token;  // arrival at the scheduler to first token
  absl::Duration total;        // arrival at the scheduler to end
  int target_tokens = 0;       // of the best hypothesis
};

// What is counted of one model. It is shown for as long as somebody holds it: who serves the model, the scheduler, a
// request of it.
class ModelMetrics : public StepObserver {
 public:
  virtual const std::string& model() const = 0;  // its name
};

// One finished RPC. Times from zero; a part that never happened is left out.
struct RequestSample {
  Rpc rpc = Rpc::kTranslate;
  std::shared_ptr<ModelMetrics> model;  // null: it named none that is served
  absl::StatusCode code = absl::StatusCode::kOk;
  int texts = 0;
  std::string trace_id;             // of the trace that it is part of (TraceIdOf); empty: none
  absl::Duration duration;          // whole RPC
  absl::Duration before_scheduler;  // of it, until the scheduler had it
  std::int64_t source_tokens = 0;
  std::int64_t target_tokens = 0;
  std::int64_t doubtful_outputs = 0;
  std::int64_t low_coverage_segments = 0;
  std::vector<SegmentSample> segments;
};

// Read at each scrape.
struct Gauges {
  SchedulerStats scheduler;
  int failed_models = 0;
  int requests_in_flight = 0;
  int connections = 0;
  int max_connections = 0;
  std::int64_t refused_connections = 0;                   // so far
  std::map<std::string, std::int64_t> connection_faults;  // so far, by what ended them
  std::map<std::string, std::int64_t> refused_calls;      // so far, by the edge, by reason
  std::int64_t transport_bytes = 0;
  std::int64_t max_transport_bytes = 0;
  std::int64_t unread_bytes = 0;
  std::int64_t max_unread_bytes = 0;
  std::int64_t log_lines_dropped = 0;  // so far
};

struct MetricsOptions {
  std::string version;
  std::vector<std::pair<std::string, std::int64_t>> memory;  // parts of the account and their bytes
};

enum class MetricsFormat {
  kPrometheus,   // text, version 0.0.4
  kOpenMetrics,  // text, version 1.0.0, with exemplars
};

class Metrics {
 public:
  virtual ~Metrics() = default;
  static std::unique_ptr<Metrics> Make(const MetricsOptions& options);

  // The counters of a model from now on. Where those of one with its name and version are still held, they are the same
  // ones: they go on counting and are described anew. They may outlive the Metrics, unseen.
  virtual std::shared_ptr<ModelMetrics> AddModel(const v1::ModelSummary& summary) = 0;
  // What to read at scrapes; must be callable until the next call or destruction. Null: gauges read 0.
  virtual void ReadGaugesFrom(std::function<Gauges()> read) = 0;
  virtual void OnRequest(const RequestSample& sample) = 0;
  // What a scrape is answered.
  virtual std::string Render(MetricsFormat format) const = 0;
  std::string Render() const { return Render(MetricsFormat::kPrometheus); }
};

}  // namespace heed
