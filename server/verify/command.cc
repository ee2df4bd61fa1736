#include "server/verify/command.h"

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/no_memory.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/bundle.h"
#include "server/admission/precision.h"
#include "server/verify/report.h"
#include "server/verify/verify.h"

namespace heed {
namespace {

constexpr char kUsage[] =
    "usage: heed-server verify FOLDER [--precision=float32|bfloat16|int8|auto] [--json]; FOLDER is one bundle";
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
  const absl::StatusOr<VerifyOptions> options = ReadArguments(arguments);
  if (!options.ok()) {
    std::fprintf(err, "heed-server: %s\n", std::string(options.status().message()).c_str());
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
