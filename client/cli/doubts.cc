#include "client/cli/doubts.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/connection.h"

namespace heed::cli {
namespace {

// So many texts are named one by one; of the others it is said how many they are.
constexpr std::int64_t kMostNamed = 5;

// "Korean"; what is no language that ICU knows stays as it is.
std::string LanguageName(const std::string& tag) {
  if (tag.empty()) return "";
  icu::UnicodeString name;
  icu::Locale(tag.c_str()).getDisplayLanguage(icu::Locale::getEnglish(), name);
  std::string utf8;
  name.toUTF8String(utf8);
  return utf8.empty() ? tag : utf8;
}

// "Hangul".
std::string ScriptName(const std::string& code) {
  const int script = u_getPropertyValueEnum(UCHAR_SCRIPT, code.c_str());
  const char* const name = script < 0 ? nullptr : uscript_getName(static_cast<UScriptCode>(script));
  return name == nullptr ? code : name;
}

// Rounded down: a share just below a bound must not read as the bound.
std::string Percent(float share) {
  const double percent = 100 * static_cast<double>(share);
  return absl::StrCat(percent < 1 ? std::floor(percent * 10) / 10 : std::floor(percent), " %");
}

bool IsLow(const v1::Segment& segment) { return segment.source_coverage().low(); }

bool IsDoubtful(const v1::Segment& segment) {
  return !segment.hypotheses().empty() && segment.hypotheses(0).doubtful();
}

}  // namespace

std::string ReadsWhat(const std::string& source_language, const std::string& spec_json) {
  std::string language = LanguageName(source_language);
  const auto spec = nlohmann::json::parse(spec_json, nullptr, /*allow_exceptions=*/false);
  std::vector<std::string> names;
  for (const char* field : {"source_scripts", "sourceScripts"}) {  // protobuf's JSON has either
    if (!spec.is_object() || !spec.contains(field) || !spec[field].is_object()) continue;
    const auto scripts = spec[field].find("scripts");
    if (scripts == spec[field].end() || !scripts->is_array()) continue;
    for (const auto& code : *scripts) {
      if (code.is_string()) names.push_back(ScriptName(code.get<std::string>()));
    }
  }
  if (names.empty()) return language;
  const std::string scripts = absl::StrJoin(names, ", ");
  return language.empty() ? scripts : absl::StrCat(language, " (", scripts, ")");
}

Doubts::Doubts(const TextOptions* options, const Console* console, Client* client)
    : options_(options),
      console_(console),
      client_(client),
      shown_(!options->json && (options->plain.has_value() ? !*options->plain : console->out_is_terminal)) {}

Doubts::~Doubts() {
  if (foreign_ > kMostNamed) {
    PrintNote(absl::StrCat("the same is to be said of ", foreign_ - kMostNamed, " further texts"), *console_);
  }
  if (doubtful_ == 0 || shown_ || options_->json || options_->plain.value_or(false)) return;
  PrintNote(absl::StrCat(doubtful_, " of ", texts_, " texts are likely wrong, by how sure the model was: ",
                         absl::StrJoin(first_, ", "), doubtful_ > kMostNamed ? ", ..." : "",
                         "; --noplain marks them with ~, --output=json has the numbers, --plain says nothing"),
            *console_);
}

bool Doubts::Marks(std::int64_t number, const v1::TextResult& result) {
  const auto& segments = result.output().segments();
  const bool doubtful = std::any_of(segments.begin(), segments.end(), IsDoubtful);
  ++texts_;
  if (doubtful && ++doubtful_ <= kMostNamed) first_.push_back(number);
  marked_ = marked_ || (doubtful && shown_);
  return doubtful && shown_;
}

bool Doubts::Marks(const v1::Hypothesis& hypothesis) {
  marked_ = marked_ || (hypothesis.doubtful() && shown_);
  return hypothesis.doubtful() && shown_;
}

void Doubts::Explain(std::int64_t number, const v1::TextResult& result, const v1::ModelIdentity& model) {
  if (marked_ && !std::exchange(explained_, true)) {
    PrintNote(
        "~ stands by what is likely wrong, by how sure the model was; --output=json has the numbers, --plain leaves "
        "it out",
        *console_);
  }
  SaySource(number, result, model);
}

void Doubts::SaySource(std::int64_t number, const v1::TextResult& result, const v1::ModelIdentity& model) {
  const auto& segments = result.output().segments();
  const auto low = std::find_if(segments.begin(), segments.end(), IsLow);
  if (low == segments.end() || ++foreign_ > kMostNamed) return;
  if (foreign_ == 1) reads_ = AskReadsWhat(model);
  const std::string what = reads_.empty() ? absl::StrCat("what ", model.name(), " reads")
                                          : absl::StrCat(reads_, " as ", model.name(), " knows it");
  const std::string where = segments.size() == 1 ? "" : absl::StrCat(", bytes ", low->begin(), " to ", low->end());
  PrintNote(
      absl::StrCat("text ", number, where, ": ", Percent(low->source_coverage().share()), " of it is ", what, ", and ",
                   Percent(low->source_coverage().least_share()), " or more should be: the output is likely worthless"),
      *console_);
}

std::string Doubts::AskReadsWhat(const v1::ModelIdentity& model) const {
  if (client_ == nullptr) return "";
  const auto found = AskModel(client_, model, options_->connection);
  // The text has been answered: that this is not is nothing to end for.
  return found.ok() ? ReadsWhat(found->model().source_language(), found->spec_json()) : "";
}

bool Doubts::MayExplain(const v1::TextResult& result) {
  const auto& segments = result.output().segments();
  return std::any_of(segments.begin(), segments.end(), [](const v1::Segment& segment) {
    return IsLow(segment) || std::any_of(segment.hypotheses().begin(), segment.hypotheses().end(),
                                         [](const v1::Hypothesis& hypothesis) { return hypothesis.doubtful(); });
  });
}

}  // namespace heed::cli
