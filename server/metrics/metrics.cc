#include "server/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <atomic>
#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/metrics/exemplars.h"
#include "server/metrics/openmetrics.h"
#include "server/metrics/process_stats.h"

namespace heed {
namespace {

constexpr char kUnknown[] = "unknown";  // model and version of a request that named no served model
constexpr char kDurations[] = "heed_request_duration_seconds";

using Buckets = prometheus::Histogram::BucketBoundaries;
using Labels = prometheus::Labels;

const Buckets& SecondBuckets() {
  static const auto* buckets =
      new Buckets{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  return *buckets;
}

const Buckets& ShortSecondBuckets() {
  static const auto* buckets =
      new Buckets{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1};
  return *buckets;
}

const Buckets& RowBuckets() {
  static const auto* buckets = new Buckets{1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024};
  return *buckets;
}

// What is counted elsewhere: read when Prometheus asks, so that nobody has to keep them up to date.
class GaugeReader : public prometheus::Collectable {
 public:
  void ReadFrom(std::function<Gauges()> read) {
    absl::MutexLock lock(&mu_);
    read_ = std::move(read);
  }

  std::vector<prometheus::MetricFamily> Collect() const override {
    Gauges now;
    {
      absl::MutexLock lock(&mu_);
      if (read_ != nullptr) now = read_();
    }
    return {
        Gauge("heed_requests_in_flight", "RPCs that were accepted and are not answered yet.", now.requests_in_flight),
        Gauge("heed_connections", "Connections that clients have open.", now.connections),
        Gauge("heed_connections_limit", "Connections that may be open.", now.max_connections),
        Counter("heed_refused_connections_total", "Connections closed at once, for there were as many as may be.",
                now.refused_connections),
        Counters("heed_connection_faults_total", "Connections ended for what they did.", "reason",
                 now.connection_faults),
        Counters("heed_refused_calls_total", "Calls that the edge refused or ended before they were requests.",
                 "reason", now.refused_calls),
        Gauge("heed_transport_bytes", "Memory of requests as received and of calls at the edge.", now.transport_bytes),
        Gauge("heed_transport_bytes_limit", "Memory that those may take.", now.max_transport_bytes),
        Gauge("heed_unread_bytes", "Answers that clients have not taken yet.", now.unread_bytes),
        Gauge("heed_unread_bytes_limit", "Answers that they may leave.", now.max_unread_bytes),
        Counter("heed_log_lines_dropped_total", "Log lines dropped, for nobody read standard error.",
                now.log_lines_dropped),
        Gauge("heed_queue_segments", "Segments that wait for a row.", now.scheduler.queued_jobs),
        Gauge("heed_queue_bytes", "Memory that waiting requests hold.", now.scheduler.queued_bytes),
        Gauge("heed_queue_bytes_limit", "Memory that waiting requests may hold.", now.scheduler.max_queue_bytes),
        Gauge("heed_leased_bytes", "Memory leased to started requests until they are answered.",
              now.scheduler.leased_bytes),
        Gauge("heed_leased_bytes_limit", "Memory that may be leased.", now.scheduler.max_request_bytes),
        Counter("heed_early_refusals_total", "Requests refused because their deadline could not be met.",
                now.scheduler.early_refusals),
        Gauge("heed_live_segments", "Segments that are being encoded or decoded.", now.scheduler.live_jobs),
        Gauge("heed_rows_in_use", "Rows (hypotheses) in use, over all workers and models.", now.scheduler.rows_in_use),
        Gauge("heed_rows_limit", "Rows that there are, over all workers and models.", now.scheduler.max_rows),
    };
  }

 private:
  static prometheus::MetricFamily Gauge(const char* name, const char* help, std::int64_t value) {
    prometheus::ClientMetric metric;
    metric.gauge.value = value;
    return {name, help, prometheus::MetricType::Gauge, {metric}};
  }
  static prometheus::MetricFamily Counter(const char* name, const char* help, std::int64_t value) {
    prometheus::ClientMetric metric;
    metric.counter.value = static_cast<double>(value);
    return {name, help, prometheus::MetricType::Counter, {metric}};
  }
  static prometheus::MetricFamily Counters(const char* name, const char* help, const char* label,
                                           const std::map<std::string, std::int64_t>& values) {
    prometheus::MetricFamily family{name, help, prometheus::MetricType::Counter, {}};
    for (const auto& [value, count] : values) {
      prometheus::ClientMetric& metric = family.metric.emplace_back();
      metric.label = {{label, value}};
      metric.counter.value = static_cast<double>(count);
    }
    return family;
  }

  mutable absl::Mutex mu_;
  std::function<Gauges()> read_ ABSL_GUARDED_BY(mu_);
};

// What is counted for one model, looked up once at start.
struct ModelMetrics {
  Labels labels;
  prometheus::Histogram* queue = nullptr;
  prometheus::Histogram* first_token = nullptr;
  prometheus::Histogram* per_token = nullptr;
  prometheus::Counter* source_tokens = nullptr;
  prometheus::Counter* target_tokens = nullptr;
  prometheus::Counter* doubtful_outputs = nullptr;
  prometheus::Counter* low_coverage_segments = nullptr;
  prometheus::Histogram* step_rows = nullptr;
  prometheus::Histogram* step_seconds = nullptr;
  prometheus::Counter* encoder_positions = nullptr;
};

// The process's own, where the system says them.
std::vector<prometheus::MetricFamily> ProcessFamilies() {
  std::vector<prometheus::MetricFamily> families;
  for (const ProcessStat& stat : ReadProcessStats()) {
    prometheus::ClientMetric metric;
    (stat.counter ? metric.counter.value : metric.gauge.value) = stat.value;
    families.push_back({stat.name,
                        stat.help,
                        stat.counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge,
                        {metric}});
  }
  return families;
}

class PrometheusMetrics : public Metrics {
 public:
  explicit PrometheusMetrics(const MetricsOptions& options)
      : registry_(std::make_shared<prometheus::Registry>()),
        gauges_(std::make_shared<GaugeReader>()),
        requests_(prometheus::BuildCounter()
                      .Name("heed_requests_total")
                      .Help("RPCs answered, by RPC, model and gRPC code; requests that named no served model are "
                            "model=\"unknown\".")
                      .Register(*registry_)),
        durations_(prometheus::BuildHistogram()
                       .Name(kDurations)
                       .Help("From the arrival of an RPC to its answer.")
                       .Register(*registry_)) {
    for (const v1::ModelSummary& summary : options.models) models_.push_back(MakeModel(summary));
    for (std::size_t i = 0; i <= models_.size(); ++i) rpcs_.push_back(std::make_unique<Rpcs>());
    AddGauge("heed_models_failed", "Bundles that could not be loaded.", {}, options.failed_models);
    for (const auto& [part, bytes] : options.memory) {
      AddGauge("heed_memory_limit_bytes",
               "Memory that each part of the server may take; together what the process may.", {{"part", part}},
               static_cast<double>(bytes));
    }
    AddGauge("heed_build_info", "1, labelled with the server's version.", {{"version", options.version}}, 1);
    AddGauge("heed_start_time_seconds", "When the server started, in seconds since 1970.", {},
             absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
  }

  void ReadGaugesFrom(std::function<Gauges()> read) override { gauges_->ReadFrom(std::move(read)); }

  void OnRequest(const RequestSample& sample) override {
    static const auto* unknown = new Labels{{"model", kUnknown}, {"version", kUnknown}};
    const ModelMetrics* model =
        sample.model == RequestSample::kUnknownModel ? nullptr : &models_[static_cast<std::size_t>(sample.model)];
    const auto labels = [&] {
      Labels all = model == nullptr ? *unknown : model->labels;
      all.emplace("rpc", RpcName(sample.rpc));
      return all;
    };
    Rpcs& of = *rpcs_[static_cast<std::size_t>(sample.model) + 1];  // kUnknownModel + 1 is 0
    const auto rpc = static_cast<std::size_t>(sample.rpc);
    Once(&of.durations[rpc], [&] {
      return &durations_.Add(labels(), SecondBuckets());
    }).Observe(absl::ToDoubleSeconds(sample.duration));
    if (!sample.trace_id.empty()) {
      of.exemplars[rpc].Keep(sample.trace_id, absl::ToDoubleSeconds(sample.duration), absl::Now());
    }
    Once(&of.requests[rpc][static_cast<std::size_t>(sample.code)], [&] {
      Labels all = labels();
      all.emplace("code", CodeName(sample.code));
      return &requests_.Add(all);
    }).Increment();
    if (model == nullptr) return;
    model->source_tokens->Increment(static_cast<double>(sample.source_tokens));
    model->target_tokens->Increment(static_cast<double>(sample.target_tokens));
    model->doubtful_outputs->Increment(static_cast<double>(sample.doubtful_outputs));
    model->low_coverage_segments->Increment(static_cast<double>(sample.low_coverage_segments));
    OnSegments(sample, *model);
  }

  void OnStep(int model, const StepReport& report, absl::Duration took) override {
    const ModelMetrics& metrics = models_[static_cast<std::size_t>(model)];
    if (report.rows > 0) metrics.step_rows->Observe(report.rows);
    metrics.step_seconds->Observe(absl::ToDoubleSeconds(took));
    if (report.encoded_positions > 0) metrics.encoder_positions->Increment(report.encoded_positions);
  }

  std::string Render(MetricsFormat format) const override {
    std::vector<prometheus::MetricFamily> families = registry_->Collect();
    for (prometheus::MetricFamily& family : gauges_->Collect()) families.push_back(std::move(family));
    for (prometheus::MetricFamily& family : ProcessFamilies()) families.push_back(std::move(family));
    if (format == MetricsFormat::kOpenMetrics) return WriteOpenMetrics(families, GetExemplars());
    return prometheus::TextSerializer().Serialize(families);
  }

 private:
  static void OnSegments(const RequestSample& sample, const ModelMetrics& model) {
    absl::Duration first = absl::InfiniteDuration();
    for (const SegmentSample& segment : sample.segments) {
      model.queue->Observe(absl::ToDoubleSeconds(segment.queued));
      if (segment.first_token <= absl::ZeroDuration()) continue;
      first = std::min(first, segment.first_token);
      if (segment.target_tokens > 1) {
        model.per_token->Observe(absl::ToDoubleSeconds(segment.total - segment.first_token) /
                                 (segment.target_tokens - 1));
      }
    }
    if (first < absl::InfiniteDuration()) {
      model.first_token->Observe(absl::ToDoubleSeconds(sample.before_scheduler + first));
    }
  }

  void AddGauge(const char* name, const char* help, const Labels& labels, double value) {
    prometheus::BuildGauge().Name(name).Help(help).Register(*registry_).Add(labels).Set(value);
  }

  prometheus::Histogram* AddHistogram(const char* name, const char* help, const Labels& labels,
                                      const Buckets& buckets) {
    return &prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_).Add(labels, buckets);
  }

  prometheus::Counter* AddCounter(const char* name, const char* help, const Labels& labels) {
    return &prometheus::BuildCounter().Name(name).Help(help).Register(*registry_).Add(labels);
  }

  ModelMetrics MakeModel(const v1::ModelSummary& summary) {
    ModelMetrics model;
    model.labels = {{"model", summary.name()}, {"version", summary.version()}};
    model.queue = AddHistogram("heed_queue_duration_seconds", "Wait of a segment from its arrival to its first step.",
                               model.labels, SecondBuckets());
    model.first_token = AddHistogram("heed_time_to_first_token_seconds",
                                     "From the arrival of an RPC to the first token of any of its segments.",
                                     model.labels, SecondBuckets());
    model.per_token = AddHistogram("heed_time_per_token_seconds",
                                   "Mean time between the tokens of a segment, the first one left out.", model.labels,
                                   ShortSecondBuckets());
    model.source_tokens = AddCounter("heed_source_tokens_total", "Source tokens of admitted requests.", model.labels);
    model.target_tokens =
        AddCounter("heed_target_tokens_total", "Tokens of the best hypotheses of answered requests.", model.labels);
    model.doubtful_outputs = AddCounter(
        "heed_doubtful_outputs_total",
        "Segments answered whose best hypothesis has less confidence than the bundle's bound.", model.labels);
    model.low_coverage_segments =
        AddCounter("heed_low_coverage_segments_total",
                   "Segments answered with too little in the scripts that the model reads.", model.labels);
    model.step_rows = AddHistogram("heed_step_rows", "Rows that a decode step advanced.", model.labels, RowBuckets());
    model.step_seconds = AddHistogram("heed_step_duration_seconds", "Time of one engine step, encoding included.",
                                      model.labels, ShortSecondBuckets());
    model.encoder_positions =
        AddCounter("heed_encoder_positions_total", "What encoding cost, in source positions by layer.", model.labels);
    AddGauge("heed_model_info", "1, labelled with the precision that the model is served in.",
             {{"model", summary.name()}, {"version", summary.version()}, {"precision", summary.precision()}}, 1);
    AddGauge("heed_model_load_seconds", "Time that loading the bundle took.", model.labels, summary.load_seconds());
    AddGauge("heed_model_weight_bytes", "Memory of the model's weights.", model.labels,
             static_cast<double>(summary.weight_bytes()));
    return model;
  }

  // What OnRequest counts for one model, or for none: shown once there is something to show, found without labels.
  struct Rpcs {
    static constexpr std::size_t kRpcs = static_cast<std::size_t>(Rpc::kGetModel) + 1;
    static constexpr std::size_t kCodes = static_cast<std::size_t>(absl::StatusCode::kUnauthenticated) + 1;

    Rpcs() {
      for (std::size_t i = 0; i < kRpcs; ++i) exemplars.emplace_back(&SecondBuckets());
    }

    std::array<std::atomic<prometheus::Histogram*>, kRpcs> durations = {};
    std::array<std::array<std::atomic<prometheus::Counter*>, kCodes>, kRpcs> requests = {};
    std::deque<Exemplars> exemplars;  // of the durations
  };
  // Two threads may both make it: the library gives them the same one.
  template <typename T, typename Make>
  static T& Once(std::atomic<T*>* place, Make make) {
    T* metric = place->load(std::memory_order_acquire);
    if (metric == nullptr) {
      metric = make();
      place->store(metric, std::memory_order_release);
    }
    return *metric;
  }

  ExemplarsByHistogram GetExemplars() const {
    ExemplarsByHistogram all;
    for (std::size_t i = 0; i < rpcs_.size(); ++i) {
      const std::string model = i == 0 ? kUnknown : models_[i - 1].labels.at("model");
      const std::string version = i == 0 ? kUnknown : models_[i - 1].labels.at("version");
      for (std::size_t rpc = 0; rpc < Rpcs::kRpcs; ++rpc) {
        all[HistogramKey(kDurations, model, version, RpcName(static_cast<Rpc>(rpc)))] = rpcs_[i]->exemplars[rpc].Get();
      }
    }
    return all;
  }

  const std::shared_ptr<prometheus::Registry> registry_;
  const std::shared_ptr<GaugeReader> gauges_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& durations_;
  std::vector<ModelMetrics> models_;
  std::vector<std::unique_ptr<Rpcs>> rpcs_;  // by model, that of none first
};

}  // namespace

std::unique_ptr<Metrics> Metrics::Make(const MetricsOptions& options) {
  return std::make_unique<PrometheusMetrics>(options);
}

}  // namespace heed
