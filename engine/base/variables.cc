#include "engine/base/variables.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "engine/base/nearest.h"

namespace heed {
namespace {

constexpr absl::string_view kPrefix = "HEED_";

// Read by CMakePresets.json, scripts and the tests.
constexpr absl::string_view kOfTheBuild[] = {"HEED_WERROR", "HEED_NO_SKIPS", "HEED_CONTAINER_STORE", "HEED_FAULT_STALL",
                                             "HEED_FAULT_START"};

// What Kubernetes sets for every service of a namespace, as Docker's links once did. A service's name may go on behind
// "heed".
bool IsOfAService(absl::string_view name, absl::string_view value) {
  if (absl::EndsWith(name, "_SERVICE_HOST") || absl::EndsWith(name, "_SERVICE_PORT") ||
      absl::StrContains(name, "_SERVICE_PORT_")) {
    return true;
  }
  const std::size_t port = name.rfind("_PORT");
  if (port == absl::string_view::npos) return false;
  for (const absl::string_view protocol : {"tcp", "udp", "sctp"}) {
    if (absl::EndsWith(name, "_PORT") && absl::StartsWith(value, absl::StrCat(protocol, "://"))) return true;
    // ..._PORT_8500_TCP, and the same with _PROTO, _PORT and _ADDR behind it.
    if (absl::StrContains(name, absl::StrCat("_", absl::AsciiStrToUpper(protocol))) &&
        absl::StrContains(name, "_PORT_")) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> ProcessVariables() {
  std::vector<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  return variables;
}

std::vector<UnknownVariable> UnknownVariables(const std::vector<std::string>& variables,
                                              const std::vector<std::string>& known) {
  std::vector<std::string> bare;  // without the prefix, which says nothing of how near they are
  for (const std::string& name : known) bare.emplace_back(absl::StripPrefix(name, kPrefix));
  std::vector<UnknownVariable> unknown;
  for (const std::string& variable : variables) {
    const std::size_t equals = std::min(variable.find('='), variable.size());
    const std::string name = variable.substr(0, equals);
    if (!absl::StartsWith(name, kPrefix) || std::count(known.begin(), known.end(), name) > 0 ||
        std::count(std::begin(kOfTheBuild), std::end(kOfTheBuild), name) > 0 ||
        IsOfAService(name, absl::string_view(variable).substr(std::min(equals + 1, variable.size())))) {
      continue;
    }
    const std::string nearest = Nearest(absl::StripPrefix(name, kPrefix), bare);
    unknown.push_back({name, nearest.empty() ? "" : absl::StrCat(kPrefix, nearest)});
  }
  std::sort(unknown.begin(), unknown.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return unknown;
}

}  // namespace heed
