#include "server/verify/command.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/no_memory.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/bundle.h"
#include "server/verify/report.h"
#include "server/verify/verify.h"

namespace heed {
namespace {

constexpr char kUsage[] = "usage: heed-server verify FOLDER [--json]; FOLDER is one bundle";

struct VerifyOptions {
  std::string folder;
  bool json = false;
};

absl::StatusOr<VerifyOptions> ReadArguments(const std::vector<std::string>& arguments) {
  VerifyOptions options;
  for (const std::string& argument : arguments) {
    if (argument == "--json") {
      options.json = true;
    } else if (absl::StartsWith(argument, "-") || !options.folder.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("unexpected argument ", Quote(argument), "; ", kUsage));
    } else {
      options.folder = argument;
    }
  }
  if (options.folder.empty()) return absl::InvalidArgumentError(kUsage);
  return options;
}

absl::StatusOr<VerifyReport> VerifyFolder(const std::string& folder) {
  return CatchNoMemory([&]() -> absl::StatusOr<VerifyReport> {
    HEED_ASSIGN_OR_RETURN(Bundle bundle, ReadBundle(folder));
    return Verify(std::move(bundle));
  });
}

}  // namespace

int RunVerify(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err) {
  const absl::StatusOr<VerifyOptions> options = ReadArguments(arguments);
  if (!options.ok()) {
    std::fprintf(err, "heed-server: %s\n", std::string(options.status().message()).c_str());
    return 2;
  }
  const absl::StatusOr<VerifyReport> report = VerifyFolder(options->folder);
  if (!report.ok()) {
    std::fprintf(err, "heed-server: %s: %s\n", options->folder.c_str(), std::string(report.status().message()).c_str());
    return 2;
  }
  std::fputs((options->json ? ReportJson(*report) : ReportText(*report)).c_str(), out);
  return report->ok() ? 0 : 1;
}

}  // namespace heed
