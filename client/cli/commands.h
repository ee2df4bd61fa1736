// The subcommands of `heed`, each in a file of its own. They take the arguments behind their name, print to the console
// and return the exit code.
#pragma once

#include <string>
#include <vector>

#include "client/cli/console.h"

namespace heed::cli {

// The whole command: picks the subcommand, or prints help or the version.
int RunHeed(const std::vector<std::string>& arguments, const Console& console);

int RunTranslate(const std::vector<std::string>& arguments, const Console& console);
int RunSummarize(const std::vector<std::string>& arguments, const Console& console);
int RunModels(const std::vector<std::string>& arguments, const Console& console);
int RunBench(const std::vector<std::string>& arguments, const Console& console);
int RunHealth(const std::vector<std::string>& arguments, const Console& console);

}  // namespace heed::cli
