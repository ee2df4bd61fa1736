#include <ostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/variables.h"
#include "engine/base/nearest.h"

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
    "  heed COMMAND --help                the command's flags (the same: heed help COMMAND)\n"
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

bool AsksForHelp(const std::string& word) { return word == "--help" || word == "-h" || word == "help"; }

int UnknownCommand(const std::string& word, const Console& console) {
  if (absl::StartsWith(word, "-")) {
    return PrintUsageError(absl::StrCat("flags go behind the command: heed COMMAND ", word), console);
  }
  std::vector<std::string> names;
  for (const auto& [name, run] : kCommands) names.emplace_back(name);
  const std::string nearest = Nearest(word, names);
  return PrintUsageError(
      absl::StrCat("there is no command ", word,
                   nearest.empty() ? "; " : absl::StrCat("; did you mean ", nearest, "? "), "heed --help lists them"),
      console);
}

}  // namespace

int RunHeed(const std::vector<std::string>& arguments, const Console& console) {
  if (arguments.empty()) {
    *console.err << kUsage;
    return kExitUsage;
  }
  const std::string& first = arguments[0];
  if (AsksForHelp(first)) {
    if (arguments.size() > 1 && !AsksForHelp(arguments[1])) {
      std::vector<std::string> topic(arguments.begin() + 1, arguments.end());
      topic.emplace_back("--help");
      return RunHeed(topic, console);
    }
    *console.out << kUsage << kExitCodeHelp;
    return kExitOk;
  }
  if (first == "--version") {
    *console.out << "heed " << HEED_VERSION << "\n";
    return kExitOk;
  }
  for (const auto& [name, run] : kCommands) {
    if (first != name) continue;
    NoteUnknownVariables(console);
    return run({arguments.begin() + 1, arguments.end()}, console);
  }
  return UnknownCommand(first, console);
}

}  // namespace heed::cli
