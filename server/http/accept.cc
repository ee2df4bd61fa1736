#include "server/http/accept.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace heed {
namespace {

// One of a list: "text/plain;version=0.0.4;q=0.5".
struct Choice {
  std::string name;     // in lower case
  std::string version;  // empty: none
  double weight = 1;    // 0: not wanted
};

std::vector<Choice> ReadChoices(absl::string_view list) {
  std::vector<Choice> choices;
  for (const absl::string_view item : absl::StrSplit(list, ',')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(item, ';');
    Choice choice;
    choice.name = absl::AsciiStrToLower(absl::StripAsciiWhitespace(parts[0]));
    if (choice.name.empty()) continue;
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const std::pair<absl::string_view, absl::string_view> pair = absl::StrSplit(parts[i], absl::MaxSplits('=', 1));
      const absl::string_view name = absl::StripAsciiWhitespace(pair.first);
      const absl::string_view value = absl::StripAsciiWhitespace(pair.second);
      if (absl::EqualsIgnoreCase(name, "version")) choice.version = std::string(value);
      // What is no number is not wanted: NaN compares with nothing.
      if (absl::EqualsIgnoreCase(name, "q") && !(absl::SimpleAtod(value, &choice.weight) && choice.weight >= 0)) {
        choice.weight = 0;
      }
    }
    choices.push_back(std::move(choice));
  }
  return choices;
}

}  // namespace

bool TakesGzip(absl::string_view accept_encoding) {
  double gzip = -1, any = -1, identity = 0;
  for (const Choice& choice : ReadChoices(accept_encoding)) {
    if (choice.name == "gzip" || choice.name == "x-gzip") gzip = std::max(gzip, choice.weight);
    if (choice.name == "*") any = choice.weight;
    if (choice.name == "identity") identity = choice.weight;
  }
  if (gzip < 0) gzip = any;
  return gzip > 0 && gzip >= identity;
}

bool PrefersOpenMetrics(absl::string_view accept) {
  double open_metrics = 0, text = 0;
  for (const Choice& choice : ReadChoices(accept)) {
    if (choice.name == "application/openmetrics-text" && (choice.version.empty() || choice.version == "1.0.0")) {
      open_metrics = std::max(open_metrics, choice.weight);
    }
    if (choice.name == "text/plain" || choice.name == "text/*") text = std::max(text, choice.weight);
  }
  return open_metrics > 0 && open_metrics >= text;
}

}  // namespace heed
