// heed-server under one of three batching policies, for bench/serving.py:
//
//   policy_server --policy=static_padded --batch_size=32 --batch_timeout=10ms [--pads=false] [heed-server's flags]
//
// `continuous` is heed-server itself; the static ones wrap its engines (static_batch.h) and take --max_rows from
// --batch_size.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/static_batch.h"
#include "server/rpc/serve.h"

namespace heed {
namespace {

// Takes --NAME=VALUE out of `arguments`; "" where it is not there.
std::string TakeFlag(const std::string& name, std::vector<std::string>* arguments) {
  const std::string prefix = absl::StrCat("--", name, "=");
  std::string value;
  std::erase_if(*arguments, [&](const std::string& argument) {
    if (!absl::StartsWith(argument, prefix)) return false;
    value = argument.substr(prefix.size());
    return true;
  });
  return value;
}

int Main(std::vector<std::string> arguments) {
  const std::string policy = TakeFlag("policy", &arguments);
  const std::string size = TakeFlag("batch_size", &arguments), timeout = TakeFlag("batch_timeout", &arguments);
  if (policy == "continuous") return Serve(arguments);
  StaticBatchOptions options;
  options.pads = TakeFlag("pads", &arguments) != "false";
  options.padded = policy == "static_padded";
  const bool known = options.padded || policy == "static_early";
  if (!known || !absl::SimpleAtoi(size, &options.batch_size) || options.batch_size < 1 || options.batch_size > 1024 ||
      !absl::ParseDuration(timeout, &options.timeout) || options.timeout < absl::ZeroDuration()) {
    std::fputs(
        "policy_server: needs --policy=continuous, or --policy=static_padded or static_early with --batch_size=ROWS "
        "(1 to 1024) and --batch_timeout=DURATION (such as 10ms)\n",
        stderr);
    return 2;
  }
  // One model's beams may not be wider than a batch.
  arguments.push_back(absl::StrCat("--max_rows=", size));
  arguments.push_back(absl::StrCat("--max_beam_size=", std::min(options.batch_size, 16)));
  return Serve(arguments, [options](std::unique_ptr<StepEngine> engine) {
    return std::make_unique<StaticBatch>(options, std::move(engine), Clock::Real(), absl::SleepFor);
  });
}

}  // namespace
}  // namespace heed

int main(int argc, char** argv) { return heed::Main({argv + 1, argv + argc}); }
