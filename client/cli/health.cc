#include <ostream>

#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/connection.h"

namespace heed::cli {
namespace {

using grpc::health::v1::HealthCheckResponse;

constexpr char kUsage[] =
    "heed health [FLAGS]: asks whether the server serves, and prints SERVING or NOT_SERVING.\n"
    "\n"
    "It asks once, and its exit code is 0 only for SERVING, so it does for a container's health check.\n"
    "\n"
    "  heed health --service=heed.v1.TranslationService\n";

}  // namespace

int RunHealth(const std::vector<std::string>& arguments, const Console& console) {
  ConnectionOptions connection;
  connection.timeout = absl::Seconds(3);
  connection.retries = 0;
  std::string service;
  bool help = false;
  const std::vector<FlagGroup> flags = {
      {"Health",
       {StringFlag("service", "NAME", "one service, heed.v1.TranslationService say (default: the whole server)",
                   &service)}},
      ConnectionFlags(&connection),
      {"Other", {BoolFlag("help", "print this", &help)}}};
  const auto operands = ParseFlags(flags, arguments, console.environment);
  if (!operands.ok()) return PrintUsageError(std::string(operands.status().message()), console);
  if (help) {
    *console.out << kUsage << "\n" << FlagHelp(flags) << kExitCodeHelp;
    return kExitOk;
  }
  if (!operands->empty()) return PrintUsageError("heed health takes no operands; use --service", console);
  const auto client = Connect(connection);
  if (!client.ok()) return PrintUsageError(std::string(client.status().message()), console);
  const auto serving = (*client)->CheckHealth(service, absl::Now() + connection.timeout);
  if (!serving.ok()) return PrintError(serving.status(), connection, console);
  *console.out << HealthCheckResponse::ServingStatus_Name(*serving) << "\n";
  return *serving == HealthCheckResponse::SERVING ? kExitOk : kExitSomeTexts;
}

}  // namespace heed::cli
