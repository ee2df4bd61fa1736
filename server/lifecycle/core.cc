#include "server/lifecycle/core.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "server/config/flags.h"
#include "server/lifecycle/log.h"

namespace heed {
namespace {

// What remains after the scheduler has ended everything is text work and writing answers.
constexpr absl::Duration kLastReplies = absl::Seconds(5);

void LogModels(const Registry& registry) {
  for (const v1::ModelSummary& summary : registry.summaries()) {
    if (summary.state() == v1::MODEL_STATE_READY) {
      Log(LogLevel::kInfo, "model_loaded",
          {{"model", summary.name()},
           {"version", summary.version()},
           {"parameters", summary.parameters()},
           {"weight_bytes", summary.weight_bytes()},
           {"load_seconds", summary.load_seconds()}});
    } else {
      Log(LogLevel::kError, "model_failed", {{"folder", summary.folder()}, {"reason", summary.error()}});
    }
  }
}

std::unique_ptr<Metrics> MakeMetrics(const Registry& registry) {
  MetricsOptions metrics;
  metrics.version = Version();
  for (const auto& model : registry.models()) metrics.models.push_back(model->summary);
  metrics.failed_models = static_cast<int>(registry.summaries().size() - registry.models().size());
  return Metrics::Make(metrics);
}

// Between interactive and batch requests text work has the scheduler's rule.
TextQueueOptions TextOptions(const ServerOptions& options) {
  TextQueueOptions text;
  text.slice = options.text_slice;
  text.batch_share = options.scheduler.batch_share;
  text.batch_ageing = options.scheduler.batch_ageing;
  return text;
}

}  // namespace

Core::~Core() {
  // Metrics outlives the scheduler, which tells it of steps, but must not ask it any more. The scheduler ends what it
  // still has while the text pool is there to take the answers.
  if (metrics != nullptr) metrics->ReadGaugesFrom(nullptr);
  if (scheduler != nullptr) scheduler->Drain(absl::ZeroDuration());
}

absl::StatusOr<std::unique_ptr<Core>> StartCore(const ServerOptions& options, EngineWrapper wrap) {
  auto core = std::make_unique<Core>(options);
  HEED_ASSIGN_OR_RETURN(core->registry, Registry::Load(options.models, options.engine));
  LogModels(*core->registry);
  core->metrics = MakeMetrics(*core->registry);
  core->admission = std::make_unique<Admission>(core->registry.get(), options.admission);
  const Registry* registry = core->registry.get();
  core->scheduler = Scheduler::Start(
      options.scheduler, static_cast<int>(registry->models().size()),
      [registry, wrap = std::move(wrap)](int model) {
        std::unique_ptr<StepEngine> engine = registry->models()[static_cast<std::size_t>(model)]->plan->MakeEngine();
        return wrap ? wrap(model, std::move(engine)) : std::move(engine);
      },
      core->metrics.get(), core->clock);
  const int text_threads = options.text_threads > 0 ? options.text_threads : std::max(1, GrantedCores() / 2);
  core->text_pool = std::make_unique<TextPool>(text_threads, TextOptions(options), core->clock);
  Core* raw = core.get();
  core->metrics->ReadGaugesFrom([raw] {
    ConnectionStats connections = raw->connections.stats();
    return Gauges{.scheduler = raw->scheduler->stats(),
                  .requests_in_flight = raw->gate.inside(),
                  .connections = connections.open,
                  .max_connections = connections.limit,
                  .refused_connections = connections.refused,
                  .connection_faults = std::move(connections.faults),
                  .refused_calls = raw->edge->counts.refused(),
                  .transport_bytes = raw->edge->transport.used(),
                  .max_transport_bytes = raw->edge->transport.limit(),
                  .unread_bytes = raw->edge->unread.used(),
                  .max_unread_bytes = raw->edge->unread.limit(),
                  .log_lines_dropped = LogLinesDropped()};
  });
  return core;
}

bool DrainCore(Core* core) {
  core->gate.Shut();
  const bool finished = core->gate.WaitEmpty(core->options.drain_time);
  core->scheduler->Drain(absl::ZeroDuration());
  if (!finished) core->gate.WaitEmpty(kLastReplies);
  return finished;
}

}  // namespace heed
