// The `heed` command. Everything is in client/cli, but for the silence of gRPC, which is the process' own.
#include <grpc/support/log.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "client/cli/commands.h"

namespace {

// gRPC writes what it thinks of a peer to standard error, beside the call's status: that a proxy answered with HTML,
// say. The status is what `heed` prints. What gRPC says before it ends the process is still worth reading.
void OnGrpcLog(gpr_log_func_args* args) {
  if (std::strncmp(args->message, "assertion failed", 16) == 0) std::fprintf(stderr, "heed: %s\n", args->message);
}

}  // namespace

int main(int argc, char** argv) {
  // Whoever sets gRPC's own variables wants its lines.
  if (std::getenv("GRPC_VERBOSITY") == nullptr && std::getenv("GRPC_TRACE") == nullptr) {
    gpr_set_log_function(OnGrpcLog);
  }
  std::ios::sync_with_stdio(false);
  return heed::cli::RunHeed({argv + 1, argv + argc}, heed::cli::Console::Real());
}
