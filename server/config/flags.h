// Reads ServerOptions from the command line and the environment: --max_rows=64, --max-rows=64 or HEED_MAX_ROWS=64; the
// command line wins, and a variable that is set and empty counts as not set, but where empty is a value of the flag.
// One table (flags.cc) gives each flag its name, unit, bound and help, so that --help, the check and the struct cannot
// disagree.
//
// Plain functions, thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/variables.h"
#include "server/config/options.h"

namespace heed {

// Value of an environment variable, if set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment ProcessEnvironment();

// `arguments` without the program's name. INVALID_ARGUMENT, one line that names the flag (or variable), the value and
// the bound: an unknown flag, a value that does not parse or is out of bounds, options that contradict one another.
absl::StatusOr<ServerOptions> ReadOptions(const std::vector<std::string>& arguments, const Environment& environment);

// Those of `variables` ("NAME=value") that look like this program's and that neither it nor the client reads.
std::vector<UnknownVariable> UnknownServerVariables(const std::vector<std::string>& variables);

// What --help prints.
std::string HelpText();

// The table of docs/flags.md, Markdown; a test compares the two.
std::string FlagTable();

// "0.2.0".
std::string Version();

}  // namespace heed
