// heed-server: options, parts, RPCs; then it waits to be told to stop.
//
// Exit codes: 0 stopped as asked, everything accepted finished; 1 it could not start serving, or the drain time was
// over before everything had finished; 2 bad options; 128 + N a second signal N. `heed-server --health`: 0 serving,
// 1 not. `heed-server verify` has its own (server/verify/command.h).
#include <cstdio>
#include <string>
#include <vector>

#include "server/lifecycle/surroundings.h"
#include "server/rpc/serve.h"
#include "server/verify/command.h"

int main(int argc, char** argv) {
  heed::ExplainTermination();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "verify") {
    return heed::RunVerify({arguments.begin() + 1, arguments.end()}, stdout, stderr);
  }
  return heed::Serve(arguments);
}
