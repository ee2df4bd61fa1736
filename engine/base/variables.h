// Variables of the environment that look like this project's and that no program of it reads: mistyped, most likely.
//
// Thread-safe: no state.
#pragma once

#include <string>
#include <vector>

namespace heed {

struct UnknownVariable {
  std::string name;
  std::string nearest;  // of those known; empty: none is near
};

// "NAME=value" of each variable of this process.
std::vector<std::string> ProcessVariables();

// Those of `variables` ("NAME=value") that begin with HEED_ and are not in `known`, by name. Left out are what an
// orchestrator sets for a service called "heed" (HEED_SERVICE_HOST, HEED_PORT=tcp://..., HEED_PORT_8500_TCP_ADDR) and
// what the project's own build and tests read.
std::vector<UnknownVariable> UnknownVariables(const std::vector<std::string>& variables,
                                              const std::vector<std::string>& known);

}  // namespace heed
