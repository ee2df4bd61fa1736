#include "server/rpc/serve.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/status_macros.h"
#include "engine/kernels/instruction_set.h"
#include "server/config/flags.h"
#include "server/http/http_listener.h"
#include "server/http/pages.h"
#include "server/lifecycle/allocator.h"
#include "server/lifecycle/descriptors.h"
#include "server/lifecycle/health_socket.h"
#include "server/lifecycle/log.h"
#include "server/lifecycle/preinit.h"
#include "server/lifecycle/signals.h"
#include "server/lifecycle/surroundings.h"
#include "server/rpc/server.h"
#include "server/scheduler/cores.h"

namespace heed {
namespace {

// Whoever reads the log gets so long for what is left of it.
constexpr absl::Duration kLastLines = absl::Seconds(1);

constexpr int kOwnFiles = 64;      // of the server itself: polls, threads' wake-ups, logs, the metrics port
constexpr int kOtherThreads = 16;  // beside those that do text: few of the server's own, and its libraries'
constexpr std::int64_t kSpareBytes = 64 << 20;  // of address space, for what libraries allocate as they start

int Fail(const absl::Status& status, int code) {
  SayLast(absl::StrCat("heed-server: ", status.message()));
  return code;
}

// As many connections as --max_connections says need files; a system that lets this process open fewer gets fewer.
void FitConnections(int max_connections, int own, int open_files, ConnectionCounts* connections) {
  if (open_files >= max_connections + own) return;
  connections->Lower(open_files - own);
  Log(LogLevel::kWarning, "connections_limited",
      {{"connections", std::int64_t{connections->stats().limit}}, {"open_files_limit", std::int64_t{open_files}}});
}

// What the number of workers comes from.
void LogCores(const ServerOptions& options) {
  const double quota = CgroupQuota("");
  Log(LogLevel::kInfo, "cores",
      {{"affinity", std::int64_t{AffinityCores()}},
       {"quota", quota == kNoQuota ? "none" : absl::StrCat(quota)},
       {"workers", std::int64_t{StepThreads(options)}},
       {"instruction_set", InstructionSet()},
       {"variables_removed", RemovedPinning()}});
}

// Of a variable that is mistyped nothing else would tell.
void LogUnknownVariables() {
  for (const UnknownVariable& unknown : UnknownServerVariables(ProcessVariables())) {
    Log(LogLevel::kWarning, "unknown_variable",
        {{"name", unknown.name}, {"nearest", unknown.nearest.empty() ? "none" : unknown.nearest}});
  }
}

SystemNeeds NeedsOf(const ServerOptions& options) {
  const int cores = GrantedCores();
  return {.threads = StepThreads(options) + HelperThreads(options) + std::max(options.text_threads, cores / 2) +
                     options.polling_threads + kOtherThreads,
          .files = kOwnFiles + 1,
          .address_bytes = kSpareBytes};
}

// The gRPC server, and its certificate among what SIGHUP has read again.
absl::StatusOr<std::unique_ptr<RpcServer>> StartRpc(Core* core) {
  // Models may have taken what there was.
  HEED_RETURN_IF_ERROR(CheckSystemGives({.threads = kOtherThreads, .address_bytes = kSpareBytes}));
  absl::StatusOr<std::unique_ptr<RpcServer>> server = RpcServer::Start(core);
  if (server.ok() && !core->options.tls.cert.empty()) {
    core->reload.Add("certificate", [server = server->get()] {
      server->ReloadCertificates();  // says by itself how it went
      return absl::OkStatus();
    });
  }
  return server;
}

// For `heed-server --health`. A server without it serves all the same.
std::unique_ptr<HealthSocket> OpenHealthSocket(const std::string& address, int port, const Readiness* readiness) {
  absl::StatusOr<std::unique_ptr<HealthSocket>> opened =
      HealthSocket::Open(address.substr(0, address.rfind(':')), port, readiness);
  if (opened.ok()) return *std::move(opened);
  Log(LogLevel::kWarning, "health_socket_failed", {{"reason", std::string(opened.status().message())}});
  return nullptr;
}

// From the first signal to the end; the exit code.
int ShutDown(int signal, Core* core, RpcServer* server) {
  ExitOnNextSignal();
  server->StopServingHealth();
  const absl::Duration delay = core->options.shutdown_delay;
  if (delay > absl::ZeroDuration()) {
    Log(LogLevel::kInfo, "shutdown_delayed",
        {{"signal", std::int64_t{signal}}, {"delay_seconds", absl::ToDoubleSeconds(delay)}});
    absl::SleepFor(delay);
  }
  Log(LogLevel::kInfo, "draining",
      {{"signal", std::int64_t{signal}}, {"requests_in_flight", std::int64_t{core->gate.inside()}}});
  const bool finished = server->Drain();
  Log(LogLevel::kInfo, "stopped", {{"all_finished", finished ? "true" : "false"}});
  return finished ? 0 : 1;
}

int Run(const ServerOptions& options, EngineWrapper wrap) {
  SetUpAllocator();
  // Debian's Abseil looks for cycles of locks at each lock unless told not to: a global lock, and some 3 % of a
  // request.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  BlockSignals();
  const int own_files = options.http.max_connections + kOwnFiles;
  const int open_files = RaiseDescriptorLimit(options.max_connections + own_files);
  if (absl::Status gives = CheckSystemGives(NeedsOf(options)); !gives.ok()) return Fail(gives, 1);
  StartLog(options.log_format, options.log_level, options.max_log_bytes);
  LogCores(options);
  LogUnknownVariables();
  // Probes are answered from here on; what they read outlives the listener.
  Readiness readiness;
  std::atomic<const Metrics*> metrics = nullptr;
  absl::StatusOr<std::unique_ptr<Core>> core;
  std::unique_ptr<HttpListener> pages;
  if (!options.metrics_address.empty()) {
    auto started = HttpListener::Start(options, MakePages({.phase = [&readiness] { return readiness.state(); },
                                                           .metrics = [&metrics] { return metrics.load(); }}));
    if (!started.ok()) return Fail(started.status(), 1);
    pages = *std::move(started);
    Log(LogLevel::kInfo, "http_listening",
        {{"address", options.metrics_address}, {"port", std::int64_t{pages->port()}}});
  }
  core = StartCore(options, std::move(wrap));
  if (!core.ok()) return Fail(core.status(), 1);
  FitConnections(options.max_connections, own_files, open_files, &(*core)->connections);
  absl::StatusOr<std::unique_ptr<RpcServer>> server = StartRpc(core->get());
  if (!server.ok()) return Fail(server.status(), 1);
  const std::unique_ptr<HealthSocket> health = OpenHealthSocket(options.address, (*server)->port(), &readiness);
  metrics = (*core)->metrics.get();
  readiness.Set(ServerState::kServing);
  Log(LogLevel::kInfo, "serving",
      {{"address", options.address},
       {"port", std::int64_t{(*server)->port()}},
       {"metrics_port", std::int64_t{pages == nullptr ? 0 : pages->port()}},
       {"models", std::int64_t{(*core)->models()}},
       {"version", Version()}});

  const int signal = WaitForShutdownSignal([&core] { (*core)->reload.Run(); }, TrimAllocator);
  readiness.Set(ServerState::kDraining);
  const int code = ShutDown(signal, core->get(), server->get());
  FlushLog(kLastLines);
  std::fflush(stdout);
  // Everything is answered and the connections are closed; destructors would only take time.
  std::_Exit(code);
}

}  // namespace

int Serve(const std::vector<std::string>& arguments, EngineWrapper wrap) {
  const absl::StatusOr<ServerOptions> options = ReadOptions(arguments, ProcessEnvironment());
  // Of a health check 1 is all that says no; 2 is reserved by those who ask.
  const bool asks_health = std::count(arguments.begin(), arguments.end(), "--health") > 0;
  if (!options.ok()) return Fail(options.status(), asks_health ? 1 : 2);
  if (options->help) {
    std::fputs(HelpText().c_str(), stdout);
    return 0;
  }
  if (options->version) {
    std::printf("heed-server %s\n", Version().c_str());
    return 0;
  }
  if (options->health) return RunHealthCheck(options->address, options->address_given);
  return Run(*options, std::move(wrap));
}

}  // namespace heed
