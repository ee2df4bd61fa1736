// The parts of a server behind its RPCs, and the order in which they start and stop. Tests put one together by hand.
//
// Start: helper threads, models, metrics, step threads, text threads. Stop: the gate shuts, what is inside finishes,
// step threads, text threads. The parts are thread-safe each; Core itself is built and drained by one thread.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "server/admission/admission.h"
#include "server/config/memory_plan.h"
#include "server/config/options.h"
#include "server/edge/edge.h"
#include "server/lifecycle/gate.h"
#include "server/lifecycle/reload.h"
#include "server/lifecycle/text_pool.h"
#include "server/metrics/metrics.h"
#include "server/models/loader.h"
#include "server/models/registry.h"
#include "server/net/connection_counts.h"
#include "server/scheduler/scheduler.h"

namespace heed {

// Puts something around a worker's engine of a model: another batching policy, an injected fault. Called once per
// worker and model, on that worker's thread.
using EngineWrapper = std::function<std::unique_ptr<StepEngine>(std::unique_ptr<StepEngine> engine)>;

struct Core {
  explicit Core(const ServerOptions& server_options)
      : options(server_options),
        connections(server_options.max_connections, server_options.max_connections_per_address),
        edge(std::make_unique<Edge>(server_options.edge, server_options.max_transport_bytes,
                                    server_options.max_unread_bytes)),
        gate(server_options.max_concurrent_requests) {}
  ~Core();

  // How many serve.
  int models() const { return static_cast<int>(registry->models().size()); }

  ServerOptions options;  // with what the memory plan made of them
  MemoryPlan memory;
  Clock* clock = Clock::Real();
  ConnectionCounts connections;
  std::unique_ptr<Edge> edge;  // of the RPC server; replaced before that starts, if at all
  Gate gate;
  ReloadHooks reload;
  std::unique_ptr<CoreTeam> team;  // null: no helper threads
  std::unique_ptr<Registry> registry;
  std::unique_ptr<Admission> admission;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<Scheduler> scheduler;
  std::unique_ptr<TextPool> text_pool;
  EngineWrapper wrap;  // null: engines are used as they are
};

// Threads that the options ask for: step threads (fewer where there is no memory for more), and those of the team.
int StepThreads(const ServerOptions& options);
int HelperThreads(const ServerOptions& options);

// Loads the models, plans the memory and starts everything. The loader's errors and those of --model_settings;
// INVALID_ARGUMENT where the options' parts do not fit the memory that there is, INTERNAL or RESOURCE_EXHAUSTED where a
// worker's engine cannot be made. heed-server itself wraps nothing.
absl::StatusOr<std::unique_ptr<Core>> StartCore(const ServerOptions& options, EngineWrapper wrap = nullptr);

// Lets nobody in any more, waits at most options.drain_time for those inside, then ends what is left with UNAVAILABLE.
// Whether all finished by themselves. Idempotent.
bool DrainCore(Core* core);

}  // namespace heed
