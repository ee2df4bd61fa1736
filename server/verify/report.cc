#include "server/verify/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/quote.h"
#include "server/config/flags.h"

namespace heed {
namespace {

constexpr std::size_t kFaultsShown = 20;

std::string NameOf(Precision precision) { return std::string(PrecisionName(precision)); }

// What the tolerances are, where they are not the certificate's.
std::string ToleranceLine(const VerifyReport& report) {
  if (report.precision == Precision::kFloat32) return "";
  return absl::StrFormat(
      "tolerances of %s, whose weights are rounded; a case may part from its tokens where the one it has is within %g "
      "of the best here\n",
      NameOf(report.precision), report.margin);
}

}  // namespace

std::string ReportText(const VerifyReport& report) {
  std::string text = absl::StrCat(
      report.model, " ", report.version, ": ", report.cases, " cases by ", Quote(report.reference, 200),
      report.toolkit.empty() ? "" : absl::StrCat(", toolkit ", Quote(report.toolkit)), "\n", "heed-server ", Version(),
      ", ", NameOf(report.precision), ", ", report.instruction_set, "\n", ToleranceLine(report), "\n");
  std::size_t width = 16;
  for (const VerifiedValue& value : report.values) width = std::max(width, value.name.size());
  absl::StrAppendFormat(&text, "%-*s  max error  tolerance  where\n", static_cast<int>(width), "value");
  for (const VerifiedValue& value : report.values) {
    absl::StrAppendFormat(&text, "%-*s  %9.2e  %9.0e  %s%s\n", static_cast<int>(width), value.name, value.max_error,
                          value.tolerance, value.where, value.ok() ? "" : "  BEYOND");
  }
  text += "\n";
  for (std::size_t i = 0; i < std::min(report.faults.size(), kFaultsShown); ++i) {
    absl::StrAppend(&text, report.faults[i], "\n");
  }
  if (report.faults.size() > kFaultsShown) {
    absl::StrAppend(&text, "... and ", report.faults.size() - kFaultsShown, " more\n");
  }
  const auto beyond =
      std::count_if(report.values.begin(), report.values.end(), [](const VerifiedValue& v) { return !v.ok(); });
  absl::StrAppend(&text, report.ok() ? "passed: " : "failed: ", report.same, " of ", report.cases,
                  " cases gave the same tokens, ", report.ties, " parted at a tie; ", beyond, " of ",
                  report.values.size(), " values are beyond their tolerance, ", report.faults.size(),
                  " other faults\n");
  return text;
}

std::string ReportJson(const VerifyReport& report) {
  nlohmann::ordered_json json = {{"ok", report.ok()},
                                 {"model", report.model},
                                 {"version", report.version},
                                 {"reference", report.reference},
                                 {"toolkit", report.toolkit},
                                 {"by", absl::StrCat("heed-server ", Version())},
                                 {"precision", NameOf(report.precision)},
                                 {"instruction_set", report.instruction_set}};
  for (const char* key : {"values", "tolerances", "where"}) json[key] = nlohmann::ordered_json::object();
  for (const VerifiedValue& value : report.values) {
    json["values"][value.name] =
        std::isfinite(value.max_error) ? nlohmann::ordered_json(value.max_error) : nlohmann::ordered_json();
    json["tolerances"][value.name] = value.tolerance;
    json["where"][value.name] = value.where;
  }
  json["margin"] = report.margin;
  json["cases"] = report.cases;
  json["same"] = report.same;
  json["ties"] = report.ties;
  json["faults"] = report.faults;
  return json.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace heed
