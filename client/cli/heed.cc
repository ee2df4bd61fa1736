#include <ostream>
#include <utility>

#include "client/cli/commands.h"

namespace heed::cli {
namespace {

constexpr char kUsage[] =
    "heed: translates and summarises through a heed server.\n"
    "\n"
    "  heed translate [FLAGS] [TEXT...]   translate texts, and show what each word attended to\n"
    "  heed summarize [FLAGS] [TEXT...]   summarise texts\n"
    "  heed models [FLAGS] [NAME]         list the server's models, or show one\n"
    "  heed health [FLAGS]                ask whether the server serves\n"
    "  heed bench [FLAGS]                 load the server and say how it answers\n"
    "\n"
    "  heed COMMAND --help                the command's flags\n"
    "  heed --version\n"
    "\n"
    "The server is --address, else $HEED_ADDRESS, else 127.0.0.1:8500.\n"
    "\n";

using Command = int (*)(const std::vector<std::string>&, const Console&);
constexpr std::pair<const char*, Command> kCommands[] = {{"translate", RunTranslate},
                                                         {"summarize", RunSummarize},
                                                         {"models", RunModels},
                                                         {"health", RunHealth},
                                                         {"bench", RunBench}};

}  // namespace

int RunHeed(const std::vector<std::string>& arguments, const Console& console) {
  if (arguments.empty()) {
    *console.err << kUsage;
    return kExitUsage;
  }
  const std::string& first = arguments[0];
  if (first == "--help" || first == "-h" || first == "help") {
    *console.out << kUsage << kExitCodeHelp;
    return kExitOk;
  }
  if (first == "--version") {
    *console.out << "heed " << HEED_VERSION << "\n";
    return kExitOk;
  }
  for (const auto& [name, run] : kCommands) {
    if (first == name) return run({arguments.begin() + 1, arguments.end()}, console);
  }
  return PrintUsageError("there is no command " + first + "; heed --help lists them", console);
}

}  // namespace heed::cli
