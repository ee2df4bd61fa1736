// heed-server: options, parts, RPCs; then it waits to be told to stop.
//
// Exit codes: 0 stopped as asked, everything accepted finished; 1 it could not start serving, or the drain time was
// over before everything had finished; 2 bad options; 128 + N a second signal N. `heed-server --health`: 0 serving,
// 1 not. `heed-server verify` has its own (server/verify/command.h).
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <vector>

#include "server/lifecycle/surroundings.h"
#include "server/rpc/serve.h"
#include "server/verify/command.h"

int main(int argc, char** argv) {
  heed::ExplainTermination();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto is = [&arguments](std::size_t at, std::initializer_list<const char*> words) {
    return at < arguments.size() && std::count(words.begin(), words.end(), arguments[at]) > 0;
  };
  const bool asks_help = is(0, {"help", "--help", "-h"});
  if (asks_help && is(1, {"verify"})) return heed::RunVerify({"--help"}, stdout, stderr);
  if (asks_help) return heed::Serve({"--help"});
  if (is(0, {"verify"})) return heed::RunVerify({arguments.begin() + 1, arguments.end()}, stdout, stderr);
  return heed::Serve(arguments);
}
