#include "server/rpc/serve.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "server/config/flags.h"
#include "server/http/http_listener.h"
#include "server/http/pages.h"
#include "server/lifecycle/allocator.h"
#include "server/lifecycle/descriptors.h"
#include "server/lifecycle/log.h"
#include "server/lifecycle/signals.h"
#include "server/rpc/server.h"

namespace heed {
namespace {

constexpr int kOwnFiles = 64;  // of the server itself: polls, threads' wake-ups, logs

int Fail(const absl::Status& status, int code) {
  std::fprintf(stderr, "heed-server: %s\n", std::string(status.message()).c_str());
  return code;
}

// As many connections as --max_connections says need files; a system that lets this process open fewer gets fewer.
void FitConnections(int max_connections, int own, ConnectionCounts* connections) {
  const int limit = RaiseDescriptorLimit(max_connections + own);
  if (limit >= max_connections + own) return;
  connections->Lower(limit - own);
  Log(LogLevel::kWarning, "connections_limited",
      {{"connections", std::int64_t{connections->stats().limit}}, {"open_files_limit", std::int64_t{limit}}});
}

int Run(const ServerOptions& options, EngineWrapper wrap) {
  SetUpAllocator();
  // Debian's Abseil looks for cycles of locks at each lock unless told not to: a global lock, and some 3 % of a
  // request.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  BlockShutdownSignals();
  StartLog(options.log_format, options.log_level);
  // Probes are answered from here on; what they read outlives the listener.
  std::atomic<Phase> phase = Phase::kStarting;
  std::atomic<const Metrics*> metrics = nullptr;
  absl::StatusOr<std::unique_ptr<Core>> core;
  std::unique_ptr<HttpListener> pages;
  if (!options.metrics_address.empty()) {
    auto started = HttpListener::Start(options, MakePages({.phase = [&phase] { return phase.load(); },
                                                           .metrics = [&metrics] { return metrics.load(); }}));
    if (!started.ok()) return Fail(started.status(), 1);
    pages = *std::move(started);
    Log(LogLevel::kInfo, "http_listening",
        {{"address", options.metrics_address}, {"port", std::int64_t{pages->port()}}});
  }
  core = StartCore(options, std::move(wrap));
  if (!core.ok()) return Fail(core.status(), 1);
  FitConnections(options.max_connections, options.http.max_connections + kOwnFiles, &(*core)->connections);
  absl::StatusOr<std::unique_ptr<RpcServer>> server = RpcServer::Start(core->get());
  if (!server.ok()) return Fail(server.status(), 1);
  metrics = (*core)->metrics.get();
  phase = Phase::kServing;
  Log(LogLevel::kInfo, "serving",
      {{"address", options.address},
       {"port", std::int64_t{(*server)->port()}},
       {"metrics_port", std::int64_t{pages == nullptr ? 0 : pages->port()}},
       {"models", static_cast<std::int64_t>((*core)->registry->models().size())},
       {"version", Version()}});

  const int signal = WaitForShutdownSignal();
  phase = Phase::kDraining;
  ExitOnNextSignal();
  Log(LogLevel::kInfo, "draining",
      {{"signal", std::int64_t{signal}}, {"requests_in_flight", std::int64_t{(*core)->gate.inside()}}});
  const bool finished = (*server)->Drain();
  Log(LogLevel::kInfo, "stopped", {{"all_finished", finished ? "true" : "false"}});
  std::fflush(stdout);
  // Everything is answered and the connections are closed; destructors would only take time.
  std::_Exit(finished ? 0 : 1);
}

}  // namespace

int Serve(const std::vector<std::string>& arguments, EngineWrapper wrap) {
  const absl::StatusOr<ServerOptions> options = ReadOptions(arguments, ProcessEnvironment());
  if (!options.ok()) return Fail(options.status(), 2);
  if (options->help) {
    std::fputs(HelpText().c_str(), stdout);
    return 0;
  }
  if (options->version) {
    std::printf("heed-server %s\n", Version().c_str());
    return 0;
  }
  return Run(*options, std::move(wrap));
}

}  // namespace heed
