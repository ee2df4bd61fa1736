#include "server/rpc/serve.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "server/config/flags.h"
#include "server/lifecycle/allocator.h"
#include "server/lifecycle/descriptors.h"
#include "server/lifecycle/log.h"
#include "server/lifecycle/signals.h"
#include "server/rpc/server.h"

namespace heed {
namespace {

int Fail(const absl::Status& status, int code) {
  std::fprintf(stderr, "heed-server: %s\n", std::string(status.message()).c_str());
  return code;
}

// As many connections as --max_connections says need files; a system that lets this process open fewer gets fewer.
void FitConnections(int max_connections, ConnectionCounts* connections) {
  constexpr int kOwn = 64;  // files of the server itself: polls, threads' wake-ups, logs, the metrics port
  const int limit = RaiseDescriptorLimit(max_connections + kOwn);
  if (limit >= max_connections + kOwn) return;
  connections->Lower(limit - kOwn);
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
  absl::StatusOr<std::unique_ptr<Core>> core = StartCore(options, std::move(wrap));
  if (!core.ok()) return Fail(core.status(), 1);
  FitConnections(options.max_connections, &(*core)->connections);
  absl::StatusOr<std::unique_ptr<RpcServer>> server = RpcServer::Start(core->get());
  if (!server.ok()) return Fail(server.status(), 1);
  Log(LogLevel::kInfo, "serving",
      {{"address", options.address},
       {"port", std::int64_t{(*server)->port()}},
       {"metrics_port", std::int64_t{(*core)->metrics->port()}},
       {"models", static_cast<std::int64_t>((*core)->registry->models().size())},
       {"version", Version()}});

  const int signal = WaitForShutdownSignal();
  ExitOnNextSignal();
  Log(LogLevel::kInfo, "draining",
      {{"signal", std::int64_t{signal}}, {"requests_in_flight", std::int64_t{(*core)->gate.inside()}}});
  const bool finished = (*server)->Drain();
  Log(LogLevel::kInfo, "stopped", {{"all_finished", finished ? "true" : "false"}});
  std::fflush(stdout);
  // Everything is answered and the connections are closed. Destructors would add only the two seconds that the metrics
  // port's poll takes to notice.
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
