#include "server/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <iterator>
#include <map>
#include <memory>
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
class GaugeReader {
 public:
  void ReadFrom(std::function<Gauges()> read) {
    absl::MutexLock lock(&mu_);
    read_ = std::move(read);
  }

  std::vector<prometheus::MetricFamily> Collect() const {
    Gauges now;
    {
      absl::MutexLock lock(&mu_);
      if (read_ != nullptr) now = read_();
    }
    return {
        Gauge("heed_models_failed", "Bundles that could not be loaded.", now.failed_models),
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

// Two threads may both make it: the library gives them the same one.
template <typename T, typename Make>
T& Once(std::atomic<T*>* place, Make make) {
  T* metric = place->load(std::memory_order_acquire);
  if (metric == nullptr) {
    metric = make();
    place->store(metric, std::memory_order_release);
  }
  return *metric;
}

// Requests of one model, or of none: shown once there is something to show, found without labels.
class RequestCounters {
 public:
  RequestCounters(Labels labels, prometheus::Registry* registry)
      : labels_(std::move(labels)),
        counts_(prometheus::BuildCounter()
                    .Name("heed_requests_total")
                    .Help("RPCs answered, by RPC, model and gRPC code; requests that named no served model are "
                          "model=\"unknown\".")
                    .Register(*registry)),
        durations_(prometheus::BuildHistogram()
                       .Name(kDurations)
                       .Help("From the arrival of an RPC to its answer.")
                       .Register(*registry)) {
    for (std::size_t i = 0; i < kRpcs; ++i) exemplars_.emplace_back(&SecondBuckets());
  }

  void Count(const RequestSample& sample) {
    const auto labels = [&] {
      Labels all = labels_;
      all.emplace("rpc", RpcName(sample.rpc));
      return all;
    };
    const auto rpc = static_cast<std::size_t>(sample.rpc);
    const double seconds = absl::ToDoubleSeconds(sample.duration);
    Once(&duration_[rpc], [&] { return &durations_.Add(labels(), SecondBuckets()); }).Observe(seconds);
    if (!sample.trace_id.empty()) exemplars_[rpc].Keep(sample.trace_id, seconds, absl::Now());
    Once(&count_[rpc][static_cast<std::size_t>(sample.code)], [&] {
      Labels all = labels();
      all.emplace("code", CodeName(sample.code));
      return &counts_.Add(all);
    }).Increment();
  }

  void AddExemplars(ExemplarsByHistogram* all) const {
    for (std::size_t rpc = 0; rpc < kRpcs; ++rpc) {
      (*all)[HistogramKey(kDurations, labels_.at("model"), labels_.at("version"), RpcName(static_cast<Rpc>(rpc)))] =
          exemplars_[rpc].Get();
    }
  }

 private:
  static constexpr std::size_t kRpcs = static_cast<std::size_t>(Rpc::kGetModel) + 1;
  static constexpr std::size_t kCodes = static_cast<std::size_t>(absl::StatusCode::kUnauthenticated) + 1;

  const Labels labels_;
  prometheus::Family<prometheus::Counter>& counts_;
  prometheus::Family<prometheus::Histogram>& durations_;
  std::array<std::atomic<prometheus::Histogram*>, kRpcs> duration_ = {};
  std::array<std::array<std::atomic<prometheus::Counter*>, kCodes>, kRpcs> count_ = {};
  std::deque<Exemplars> exemplars_;  // of the durations
};

prometheus::Gauge* AddGauge(prometheus::Registry* registry, const char* name, const char* help, const Labels& labels,
                            double value) {
  prometheus::Gauge& gauge = prometheus::BuildGauge().Name(name).Help(help).Register(*registry).Add(labels);
  gauge.Set(value);
  return &gauge;
}

// What one model counts, in a registry of its own: so it goes at once, with its last holder, and touches nobody else's.
class ModelCounters : public ModelMetrics {
 public:
  explicit ModelCounters(const v1::ModelSummary& summary)
      : model_(summary.name()),
        version_(summary.version()),
        requests_(labels_, &registry_),
        infos_(prometheus::BuildGauge()
                   .Name("heed_model_info")
                   .Help("1, labelled with the precision that the model is served in.")
                   .Register(registry_)) {}

  const std::string& model() const override { return model_; }
  const std::string& version() const { return version_; }

  // From one thread at a time.
  void Describe(const v1::ModelSummary& summary) {
    if (info_ != nullptr) infos_.Remove(info_);
    info_ = &infos_.Add({{"model", model_}, {"version", version_}, {"precision", summary.precision()}});
    info_->Set(1);
    load_seconds_->Set(summary.load_seconds());
    weight_bytes_->Set(static_cast<double>(summary.weight_bytes()));
  }

  void OnStep(const StepReport& report, absl::Duration took) override {
    if (report.rows > 0) step_rows_->Observe(report.rows);
    step_seconds_->Observe(absl::ToDoubleSeconds(took));
    if (report.encoded_positions > 0) encoder_positions_->Increment(report.encoded_positions);
  }

  void OnRequest(const RequestSample& sample) {
    requests_.Count(sample);
    source_tokens_->Increment(static_cast<double>(sample.source_tokens));
    target_tokens_->Increment(static_cast<double>(sample.target_tokens));
    doubtful_outputs_->Increment(static_cast<double>(sample.doubtful_outputs));
    low_coverage_segments_->Increment(static_cast<double>(sample.low_coverage_segments));
    OnSegments(sample);
  }

  std::vector<prometheus::MetricFamily> Collect() const { return registry_.Collect(); }
  void AddExemplars(ExemplarsByHistogram* all) const { requests_.AddExemplars(all); }

 private:
  void OnSegments(const RequestSample& sample) {
    absl::Duration first = absl::InfiniteDuration();
    for (const SegmentSample& segment : sample.segments) {
      queue_->Observe(absl::ToDoubleSeconds(segment.queued));
      if (segment.first_token <= absl::ZeroDuration()) continue;
      first = std::min(first, segment.first_token);
      if (segment.target_tokens > 1) {
        per_token_->Observe(absl::ToDoubleSeconds(segment.total - segment.first_token) / (segment.target_tokens - 1));
      }
    }
    if (first < absl::InfiniteDuration()) {
      first_token_->Observe(absl::ToDoubleSeconds(sample.before_scheduler + first));
    }
  }

  prometheus::Histogram* AddHistogram(const char* name, const char* help, const Buckets& buckets) {
    return &prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add(labels_, buckets);
  }
  prometheus::Counter* AddCounter(const char* name, const char* help) {
    return &prometheus::BuildCounter().Name(name).Help(help).Register(registry_).Add(labels_);
  }

  const std::string model_, version_;
  const Labels labels_ = {{"model", model_}, {"version", version_}};
  prometheus::Registry registry_;
  RequestCounters requests_;
  prometheus::Histogram* const queue_ = AddHistogram(
      "heed_queue_duration_seconds", "Wait of a segment from its arrival to its first step.", SecondBuckets());
  prometheus::Histogram* const first_token_ =
      AddHistogram("heed_time_to_first_token_seconds",
                   "From the arrival of an RPC to the first token of any of its segments.", SecondBuckets());
  prometheus::Histogram* const per_token_ =
      AddHistogram("heed_time_per_token_seconds", "Mean time between the tokens of a segment, the first one left out.",
                   ShortSecondBuckets());
  prometheus::Counter* const source_tokens_ =
      AddCounter("heed_source_tokens_total", "Source tokens of admitted requests.");
  prometheus::Counter* const target_tokens_ =
      AddCounter("heed_target_tokens_total", "Tokens of the best hypotheses of answered requests.");
  prometheus::Counter* const doubtful_outputs_ =
      AddCounter("heed_doubtful_outputs_total",
                 "Segments answered whose best hypothesis has less confidence than the bundle's bound.");
  prometheus::Counter* const low_coverage_segments_ = AddCounter(
      "heed_low_coverage_segments_total", "Segments answered with too little in the scripts that the model reads.");
  prometheus::Histogram* const step_rows_ =
      AddHistogram("heed_step_rows", "Rows that a decode step advanced.", RowBuckets());
  prometheus::Histogram* const step_seconds_ =
      AddHistogram("heed_step_duration_seconds", "Time of one engine step, encoding included.", ShortSecondBuckets());
  prometheus::Counter* const encoder_positions_ =
      AddCounter("heed_encoder_positions_total", "What encoding cost, in source positions by layer.");
  prometheus::Family<prometheus::Gauge>& infos_;
  prometheus::Gauge* info_ = nullptr;
  prometheus::Gauge* const load_seconds_ =
      AddGauge(&registry_, "heed_model_load_seconds", "Time that loading the bundle took.", labels_, 0);
  prometheus::Gauge* const weight_bytes_ =
      AddGauge(&registry_, "heed_model_weight_bytes", "Memory of the model's weights.", labels_, 0);
};

// Families of several registries: a text has one of each name.
class Families {
 public:
  void Add(std::vector<prometheus::MetricFamily> families) {
    for (prometheus::MetricFamily& family : families) {
      const auto [place, fresh] = places_.emplace(family.name, all_.size());
      if (fresh) {
        all_.push_back(std::move(family));
      } else {
        std::vector<prometheus::ClientMetric>& metrics = all_[place->second].metric;
        std::move(family.metric.begin(), family.metric.end(), std::back_inserter(metrics));
      }
    }
  }
  const std::vector<prometheus::MetricFamily>& all() const { return all_; }

 private:
  std::vector<prometheus::MetricFamily> all_;
  std::map<std::string, std::size_t> places_;
};

class PrometheusMetrics : public Metrics {
 public:
  explicit PrometheusMetrics(const MetricsOptions& options)
      : unknown_({{"model", kUnknown}, {"version", kUnknown}}, &registry_) {
    for (const auto& [part, bytes] : options.memory) {
      AddGauge(&registry_, "heed_memory_limit_bytes",
               "Memory that each part of the server may take; together what the process may.", {{"part", part}},
               static_cast<double>(bytes));
    }
    AddGauge(&registry_, "heed_build_info", "1, labelled with the server's version.", {{"version", options.version}},
             1);
    AddGauge(&registry_, "heed_start_time_seconds", "When the server started, in seconds since 1970.", {},
             absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
  }

  std::shared_ptr<ModelMetrics> AddModel(const v1::ModelSummary& summary) override {
    absl::MutexLock lock(&mu_);
    std::shared_ptr<ModelCounters> counters;
    for (const auto& each : LiveModels()) {
      if (each->model() == summary.name() && each->version() == summary.version()) counters = each;
    }
    if (counters == nullptr) {
      counters = std::make_shared<ModelCounters>(summary);
      std::erase_if(models_, [](const auto& each) { return each.expired(); });
      models_.push_back(counters);
    }
    counters->Describe(summary);
    return counters;
  }

  void ReadGaugesFrom(std::function<Gauges()> read) override { gauges_.ReadFrom(std::move(read)); }

  void OnRequest(const RequestSample& sample) override {
    if (sample.model == nullptr) return unknown_.Count(sample);
    static_cast<ModelCounters&>(*sample.model).OnRequest(sample);
  }

  std::string Render(MetricsFormat format) const override {
    Families families;
    ExemplarsByHistogram exemplars;
    families.Add(registry_.Collect());
    unknown_.AddExemplars(&exemplars);
    std::vector<std::shared_ptr<ModelCounters>> models;
    {
      absl::MutexLock lock(&mu_);
      models = LiveModels();
    }
    for (const auto& model : models) {
      families.Add(model->Collect());
      model->AddExemplars(&exemplars);
    }
    families.Add(gauges_.Collect());
    families.Add(ProcessFamilies());
    if (format == MetricsFormat::kOpenMetrics) return WriteOpenMetrics(families.all(), exemplars);
    return prometheus::TextSerializer().Serialize(families.all());
  }

 private:
  std::vector<std::shared_ptr<ModelCounters>> LiveModels() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    std::vector<std::shared_ptr<ModelCounters>> live;
    for (const auto& model : models_) {
      if (std::shared_ptr<ModelCounters> held = model.lock(); held != nullptr) live.push_back(std::move(held));
    }
    return live;
  }

  prometheus::Registry registry_;
  GaugeReader gauges_;
  RequestCounters unknown_;  // requests that named no served model
  mutable absl::Mutex mu_;
  std::vector<std::weak_ptr<ModelCounters>> models_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

std::unique_ptr<Metrics> Metrics::Make(const MetricsOptions& options) {
  return std::make_unique<PrometheusMetrics>(options);
}

}  // namespace heed
