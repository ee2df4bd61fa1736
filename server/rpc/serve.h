// A server process from options to exit code: what heed-server's main runs, and the servers of benchmarks and fault
// tests, which differ in their engines alone.
#pragma once

#include <string>
#include <vector>

#include "server/lifecycle/core.h"

namespace heed {

// `arguments` as ReadOptions takes them. Serves until SIGTERM or SIGINT, drains and ends the process: 0 everything
// accepted finished, 1 the drain time was over before that, 128 + N a second signal N. Returns main's exit code after
// --help and --version (0), --health (0 serving, 1 not), bad options (2) and where it could not start (1), these with
// one line on standard error.
// For main's thread, before it starts any other.
int Serve(const std::vector<std::string>& arguments, EngineWrapper wrap = nullptr);

}  // namespace heed
