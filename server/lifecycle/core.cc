#include "server/lifecycle/core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/config/flags.h"
#include "server/config/model_settings.h"
#include "server/lifecycle/log.h"
#include "server/lifecycle/memory_limit.h"
#include "server/lifecycle/model_life.h"
#include "server/scheduler/cores.h"

namespace heed {
namespace {

// What remains after the scheduler has ended everything is text work and writing answers.
constexpr absl::Duration kLastReplies = absl::Seconds(5);

// Notes are of models that serve otherwise than somebody meant them to.
void LogPrecisions(const LoadedModels& loaded) {
  for (const auto& model : loaded.models) {
    if (model->precision_note.empty()) continue;
    Log(LogLevel::kWarning, "precision",
        {{"model", model->summary.name()},
         {"version", model->summary.version()},
         {"precision", model->summary.precision()},
         {"reason", model->precision_note}});
  }
}

void LogModels(const LoadedModels& loaded) {
  for (const auto& model : loaded.models) {
    const v1::ModelSummary& summary = model->summary;
    Log(LogLevel::kInfo, "model_loaded",
        {{"model", summary.name()},
         {"version", summary.version()},
         {"precision", summary.precision()},
         {"parameters", summary.parameters()},
         {"weight_bytes", summary.weight_bytes()},
         {"load_seconds", summary.load_seconds()}});
  }
  for (const v1::ModelSummary& summary : loaded.failed) {
    Log(LogLevel::kError, "model_failed", {{"folder", summary.folder()}, {"reason", summary.error()}});
  }
}

// How many threads there will be; a few of them are the libraries' own.
ThreadCounts CountThreads(const ServerOptions& options, const MemoryBound& bound) {
  constexpr int kCoresPerPollingThread = 8, kLibraryThreads = 8;
  const int cores = GrantedCores();
  const int workers = StepThreads(options), helpers = HelperThreads(options);
  const int text = options.text_threads > 0 ? options.text_threads
                                            : std::min(std::max(1, cores / 2), MostTextThreads(options, bound));
  const int polling =
      options.polling_threads > 0 ? options.polling_threads : std::max(1, cores / kCoresPerPollingThread);
  return {.all = workers + helpers + text + polling + kLibraryThreads,
          .text = text,
          .workers = workers,
          .helpers = helpers};
}

void LogMemory(const MemoryPlan& plan) {
  Log(LogLevel::kInfo, "memory",
      {{"bytes", plan.bound.bytes},
       {"from", plan.bound.from},
       {"models", plan.models},
       {"work", plan.work},
       {"queue", plan.queue},
       {"transport", plan.transport},
       {"unread", plan.unread},
       {"other", plan.other},
       {"spare", plan.spare()}});
}

// What one connection may hold is a share of what all may, whatever those have shrunk to: a few of them hold not all.
EdgeLimits OfOneConnection(const ServerOptions& options) {
  EdgeLimits limits = options.edge;
  limits.max_connection_bytes =
      std::min(limits.max_connection_bytes, std::max(options.max_transport_bytes / 4, 2 * options.max_message_bytes));
  limits.max_connection_unread_bytes =
      std::min(limits.max_connection_unread_bytes,
               std::max(options.max_unread_bytes / 4, std::int64_t{options.admission.max_reply_bytes}));
  return limits;
}

// Loads the models into what the other parts leave them, and gives those parts what the models leave. Where the number
// of workers is not given, there are fewer than cores if no more have room.
absl::StatusOr<LoadedModels> LoadWithinMemory(Core* core) {
  ServerOptions& options = core->options;
  const MemoryBound bound = FindMemoryBound(options.max_memory, "");
  const ThreadCounts threads = CountThreads(options, bound);
  HEED_ASSIGN_OR_RETURN(const std::int64_t room, RoomForModels(options, bound, threads));
  if (threads.helpers > 0) core->team = MakeCoreTeam(threads.helpers);
  options.engine.team = options.scheduler.team = core->team.get();
  const int least = std::max(1, options.scheduler.workers);
  if (!options.precision.file.empty()) {
    HEED_ASSIGN_OR_RETURN(options.precision.models, ReadModelSettings(options.precision.file));
  }
  HEED_ASSIGN_OR_RETURN(LoadedModels loaded, LoadModels(options.models, options.engine,
                                                        {.max_bytes = room, .engines = least}, options.precision));
  LogModels(loaded);
  LogPrecisions(loaded);
  const std::int64_t each = std::max<std::int64_t>(1, loaded.engine_bytes());
  const auto more = std::min<std::int64_t>(threads.workers - least, (room - loaded.memory_bytes()) / each);
  options.scheduler.workers = least + static_cast<int>(more);
  options.text_threads = threads.text;
  if (options.scheduler.workers < threads.workers) {
    Log(LogLevel::kWarning, "workers_limited",
        {{"workers", std::int64_t{options.scheduler.workers}},
         {"cores", std::int64_t{threads.workers}},
         {"bytes_each", each}});
  }
  HEED_ASSIGN_OR_RETURN(core->memory, PlanMemoryParts(options, bound, threads, loaded.memory_bytes() + more * each));
  ApplyMemoryPlan(core->memory, &options);
  core->edge = std::make_unique<Edge>(OfOneConnection(options), options.max_transport_bytes, options.max_unread_bytes);
  LogMemory(core->memory);
  return loaded;
}

std::unique_ptr<Metrics> MakeMetrics(const MemoryPlan& memory) {
  MetricsOptions metrics;
  metrics.memory = {{"models", memory.models},       {"work", memory.work},     {"queue", memory.queue},
                    {"transport", memory.transport}, {"unread", memory.unread}, {"other", memory.other},
                    {"spare", memory.spare()}};
  metrics.version = Version();
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

int StepThreads(const ServerOptions& options) {
  return options.scheduler.workers > 0 ? options.scheduler.workers : GrantedCores();
}

int HelperThreads(const ServerOptions& options) { return std::min(options.helper_threads, StepThreads(options) - 1); }

Core::~Core() {
  // Metrics outlives the scheduler, which tells it of steps, but must not ask it any more. The scheduler ends what it
  // still has while the text pool is there to take the answers.
  if (metrics != nullptr) metrics->ReadGaugesFrom(nullptr);
  if (scheduler != nullptr) scheduler->Drain(absl::ZeroDuration());
}

absl::StatusOr<std::unique_ptr<Core>> StartCore(const ServerOptions& options, EngineWrapper wrap) {
  auto core = std::make_unique<Core>(options);
  HEED_ASSIGN_OR_RETURN(LoadedModels loaded, LoadWithinMemory(core.get()));
  core->wrap = std::move(wrap);
  core->metrics = MakeMetrics(core->memory);
  core->registry = std::make_unique<Registry>(std::vector<std::unique_ptr<ServedModel>>(), std::move(loaded.failed));
  core->admission = std::make_unique<Admission>(core->registry.get(), options.admission);
  core->scheduler = Scheduler::Start(core->options.scheduler, core->clock);
  for (std::unique_ptr<ServedModel>& model : loaded.models) {
    HEED_RETURN_IF_ERROR(ServeModel(core.get(), std::move(model)).status());
  }
  core->text_pool = std::make_unique<TextPool>(core->options.text_threads, TextOptions(core->options), core->clock);
  Core* raw = core.get();
  core->metrics->ReadGaugesFrom([raw] {
    ConnectionStats connections = raw->connections.stats();
    return Gauges{.scheduler = raw->scheduler->stats(),
                  .failed_models = static_cast<int>(raw->registry->set()->failed().size()),
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
