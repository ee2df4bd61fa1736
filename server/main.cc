// heed-server: options, parts, RPCs; then it waits to be told to stop.
//
// Exit codes: 0 stopped as asked, everything accepted finished; 1 it could not start serving, or the drain time was
// over before everything had finished; 2 bad options; 128 + N a second signal N. `heed-server verify` has its own
// (server/verify/command.h).
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "server/config/flags.h"
#include "server/lifecycle/core.h"
#include "server/lifecycle/log.h"
#include "server/lifecycle/signals.h"
#include "server/rpc/server.h"
#include "server/verify/command.h"

namespace {

int Fail(const absl::Status& status, int code) {
  std::fprintf(stderr, "heed-server: %s\n", std::string(status.message()).c_str());
  return code;
}

int Serve(const heed::ServerOptions& options) {
  heed::BlockShutdownSignals();
  heed::StartLog(options.log_format, options.log_level);
  absl::StatusOr<std::unique_ptr<heed::Core>> core = heed::StartCore(options);
  if (!core.ok()) return Fail(core.status(), 1);
  absl::StatusOr<std::unique_ptr<heed::RpcServer>> server = heed::RpcServer::Start(core->get());
  if (!server.ok()) return Fail(server.status(), 1);
  heed::Log(heed::LogLevel::kInfo, "serving",
            {{"address", options.address},
             {"port", std::int64_t{(*server)->port()}},
             {"metrics_port", std::int64_t{(*core)->metrics->port()}},
             {"models", static_cast<std::int64_t>((*core)->registry->models().size())},
             {"version", heed::Version()}});

  const int signal = heed::WaitForShutdownSignal();
  heed::ExitOnNextSignal();
  heed::Log(heed::LogLevel::kInfo, "draining",
            {{"signal", std::int64_t{signal}}, {"requests_in_flight", std::int64_t{(*core)->gate.inside()}}});
  const bool finished = (*server)->Drain();
  heed::Log(heed::LogLevel::kInfo, "stopped", {{"all_finished", finished ? "true" : "false"}});
  std::fflush(stdout);
  // Everything is answered and the connections are closed. Destructors would add only the two seconds that the metrics
  // port's poll takes to notice.
  std::_Exit(finished ? 0 : 1);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "verify") {
    return heed::RunVerify({arguments.begin() + 1, arguments.end()}, stdout, stderr);
  }
  absl::StatusOr<heed::ServerOptions> options = heed::ReadOptions(arguments, heed::ProcessEnvironment());
  if (!options.ok()) return Fail(options.status(), 2);
  if (options->help) {
    std::fputs(heed::HelpText().c_str(), stdout);
    return 0;
  }
  if (options->version) {
    std::printf("heed-server %s\n", heed::Version().c_str());
    return 0;
  }
  return Serve(*options);
}
