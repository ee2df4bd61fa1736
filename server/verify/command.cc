#include "server/verify/command.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/no_memory.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/bundle.h"
#include "server/models/precision.h"
#include "server/verify/report.h"
#include "server/verify/verify.h"

namespace heed {
namespace {

constexpr char kUsage[] =
    "usage: heed-server verify FOLDER [--precision=float32|bfloat16|int8|auto] [--json]; FOLDER is one bundle";
constexpr char kHelp[] =
    "heed-server verify FOLDER [FLAGS]: runs the parity.json of the bundle in FOLDER on this machine and says how far\n"
    "each value is from what the model's own toolkit gave.\n\n"
    "  --precision=P   float32, bfloat16, int8 or auto (default): that which a server takes that is told none\n"
    "  --json          the report for programs\n"
    "  --help\n\n"
    "Exit codes: 0 within the tolerances, 1 not, 2 nothing was compared (bad arguments, no such bundle, no\n"
    "parity.json, a precision that this machine lacks).\n";
constexpr absl::string_view kPrecisionFlag = "--precision=";

struct VerifyOptions {
  std::string folder;
  std::optional<Precision> precision;  // absent: auto
  bool json = false;
};

absl::StatusOr<VerifyOptions> ReadArguments(const std::vector<std::string>& arguments) {
  VerifyOptions options;
  for (const std::string& argument : arguments) {
    if (argument == "--json") {
      options.json = true;
    } else if (absl::StartsWith(argument, kPrecisionFlag)) {
      const std::string name = argument.substr(kPrecisionFlag.size());
      options.precision = PrecisionNamed(name);
      if (options.precision.has_value() || name == "auto") continue;
      return absl::InvalidArgumentError(
          absl::StrCat("--precision is ", Quote(name), "; it must be float32 or bfloat16 or int8 or auto"));
    } else if (absl::StartsWith(argument, "-") || !options.folder.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("unexpected argument ", Quote(argument), "; ", kUsage));
    } else {
      options.folder = argument;
    }
  }
  if (options.folder.empty()) return absl::InvalidArgumentError(kUsage);
  return options;
}

// Where a folder of bundles was given: one of them, to be named in the error. Empty: it is no such folder.
std::string BundleIn(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::exists(fs::path(folder) / "model.json", error)) return "";
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (fs::exists(entry.path() / "model.json", error)) return entry.path().string();
  }
  return "";
}

// `note`: what is to be said of the precision.
absl::StatusOr<VerifyReport> VerifyFolder(const VerifyOptions& options, std::string* note) {
  return CatchNoMemory([&]() -> absl::StatusOr<VerifyReport> {
    HEED_ASSIGN_OR_RETURN(Bundle bundle, ReadBundle(options.folder));
    const PrecisionSettings settings{.all = options.precision, .models = {}, .file = ""};
    HEED_ASSIGN_OR_RETURN(ChosenPrecision chosen, ChoosePrecision(bundle.spec, settings, MachinePrecision::Here()));
    *note = std::move(chosen.note);
    return Verify(std::move(bundle), chosen.precision);
  });
}

}  // namespace

int RunVerify(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err) {
  for (const std::string& argument : arguments) {
    if (argument != "--help" && argument != "-h") continue;
    std::fputs(kHelp, out);
    return 0;
  }
  const absl::StatusOr<VerifyOptions> options = ReadArguments(arguments);
  if (!options.ok()) {
    std::fprintf(err, "heed-server: %s\n", std::string(options.status().message()).c_str());
    return 2;
  }
  if (const std::string bundle = BundleIn(options->folder); !bundle.empty()) {
    std::fprintf(err, "heed-server: %s holds bundles; give one of them, such as %s\n", Quote(options->folder).c_str(),
                 Quote(bundle).c_str());
    return 2;
  }
  std::string note;
  const absl::StatusOr<VerifyReport> report = VerifyFolder(*options, &note);
  if (!report.ok()) {
    std::fprintf(err, "heed-server: %s: %s\n", options->folder.c_str(), std::string(report.status().message()).c_str());
    return 2;
  }
  if (!note.empty()) std::fprintf(err, "heed-server: %s: %s\n", options->folder.c_str(), note.c_str());
  std::fputs((options->json ? ReportJson(*report) : ReportText(*report)).c_str(), out);
  return report->ok() ? 0 : 1;
}

}  // namespace heed
