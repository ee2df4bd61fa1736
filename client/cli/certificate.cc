#include "client/cli/certificate.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/width.h"

namespace heed::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string Text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? Printable(found->get<std::string>()) : "";
}

// "weight 1e-05, energy 1e-04"
std::string Numbers(const Json& object, const char* key) {
  std::string list;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_object()) return list;
  for (const auto& [name, value] : found->items()) {
    if (!value.is_number()) continue;
    absl::StrAppendFormat(&list, "%s%s %.2g", list.empty() ? "" : ", ", Printable(name), value.get<double>());
  }
  return list;
}

}  // namespace

std::string CertificateOutline(const std::string& parity_json) {
  if (parity_json.empty()) return "parity: no certificate\n";
  const Json json = Json::parse(parity_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("cases") || !json["cases"].is_array()) {
    return "parity: a certificate that cannot be read (parity.json)\n";
  }
  const std::string toolkit = Text(json, "toolkit");
  std::string lines = absl::StrCat("parity: ", json["cases"].size(), " cases by ", Text(json, "reference"),
                                   toolkit.empty() ? "" : absl::StrCat("; toolkit ", toolkit), "\n");
  const std::string tolerances = Numbers(json, "tolerance");
  if (!tolerances.empty()) absl::StrAppend(&lines, "  tolerances: ", tolerances, "\n");
  const auto measured = json.find("measured");
  if (measured == json.end() || !measured->is_object()) {
    return lines + "  measured: heed-server verify FOLDER says, on the serving machine\n";
  }
  absl::StrAppend(&lines, "  measured: ", Numbers(*measured, "values"), "\n  measured by: ", Text(*measured, "by"));
  for (const char* key : {"precision", "instruction_set"}) {
    const std::string text = Text(*measured, key);
    if (!text.empty()) absl::StrAppend(&lines, ", ", text);
  }
  return lines + "\n";
}

}  // namespace heed::cli
