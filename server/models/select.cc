// Registry's look-ups: which model a request means, and what to say when it is none or several.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"
#include "server/models/registry.h"

namespace heed {
namespace {

using Models = std::vector<const ServedModel*>;

std::string Label(const ServedModel& model) {
  const v1::ModelSummary& summary = model.summary;
  return absl::StrCat(summary.name(), " ", summary.version(), " (", summary.source_language(), " to ",
                      summary.target_language(), ")");
}

std::string Labels(const Models& models) {
  std::vector<std::string> labels;
  for (const ServedModel* model : models) labels.push_back(Label(*model));
  return Listed(labels);
}

std::string TaskName(v1::Task task) { return task == v1::TASK_SUMMARIZE ? "summarization" : "translation"; }

template <typename Keep>
Models Filter(const Models& models, Keep keep) {
  Models kept;
  for (const ServedModel* model : models) {
    if (keep(model->summary)) kept.push_back(model);
  }
  return kept;
}

bool SpeaksLanguages(const v1::ModelSummary& summary, const v1::ModelSelector& selector) {
  return (!selector.has_source_language() ||
          absl::EqualsIgnoreCase(summary.source_language(), selector.source_language())) &&
         (!selector.has_target_language() ||
          absl::EqualsIgnoreCase(summary.target_language(), selector.target_language()));
}

absl::Status NotServed(absl::string_view message, const Models& served) {
  return ErrorWithInfo(absl::StatusCode::kNotFound, absl::StrCat(message, "; served: ", Labels(served)),
                       "MODEL_NOT_FOUND");
}

// " (it failed to load; ListModels says why)" where a bundle of that name or folder did.
std::string FailureNote(const std::vector<v1::ModelSummary>& summaries, const std::string& name) {
  for (const v1::ModelSummary& summary : summaries) {
    if (summary.state() == v1::MODEL_STATE_FAILED && (summary.name() == name || summary.folder() == name)) {
      return " (its bundle failed to load; ListModels says why)";
    }
  }
  return "";
}

std::string LanguagesWanted(const v1::ModelSelector& selector) {
  return absl::StrCat("from ", selector.has_source_language() ? Quoted(selector.source_language()) : "any language",
                      " to ", selector.has_target_language() ? Quoted(selector.target_language()) : "any language");
}

}  // namespace

absl::StatusOr<const ServedModel*> Registry::Select(v1::Task task, const v1::ModelSelector& selector) const {
  Models all;
  for (const auto& model : models_) all.push_back(model.get());
  const Models served = Filter(all, [task](const v1::ModelSummary& s) { return s.task() == task; });
  if (served.empty()) return NotServed(absl::StrCat("this server has no ", TaskName(task), " model"), all);
  Models candidates = served;
  if (selector.has_version() && !selector.has_name()) {
    return InvalidField("model.version", Quoted(selector.version()), "given together with model.name");
  }
  if (selector.has_name()) {
    const auto same_name = [&](const v1::ModelSummary& s) { return s.name() == selector.name(); };
    candidates = Filter(served, same_name);
    if (candidates.empty() && !Filter(all, same_name).empty()) {
      return InvalidField("model.name", Quoted(selector.name()),
                          absl::StrCat("a ", TaskName(task), " model: ", Labels(served)));
    }
    if (candidates.empty()) {
      return NotServed(absl::StrCat("no ", TaskName(task), " model is called ", Quoted(selector.name()),
                                    FailureNote(summaries_, selector.name())),
                       served);
    }
  }
  if (selector.has_version()) {
    const Models named = candidates;
    candidates = Filter(named, [&](const v1::ModelSummary& s) { return s.version() == selector.version(); });
    if (candidates.empty()) {
      return NotServed(absl::StrCat(Quoted(selector.name()), " has no version ", Quoted(selector.version())), named);
    }
  }
  const Models before = candidates;
  candidates = Filter(before, [&](const v1::ModelSummary& s) { return SpeaksLanguages(s, selector); });
  if (candidates.empty()) {
    if (selector.has_name()) {
      return InvalidField("model", absl::StrCat(Quoted(selector.name()), " ", LanguagesWanted(selector)),
                          absl::StrCat("without conflict: ", Labels(before)));
    }
    return NotServed(
        absl::StrCat("no ", TaskName(task), " model reads and writes what was asked for, ", LanguagesWanted(selector)),
        served);
  }
  if (candidates.size() > 1) {
    return InvalidField("model", "ambiguous", absl::StrCat("one of: ", Labels(candidates)));
  }
  return candidates[0];
}

absl::StatusOr<const ServedModel*> Registry::Find(const std::string& name, std::optional<std::string> version) const {
  if (name.empty()) return InvalidField("name", "empty", "the name of a model (ListModels lists them)");
  Models all;
  for (const auto& model : models_) all.push_back(model.get());
  const Models named = Filter(all, [&](const v1::ModelSummary& s) { return s.name() == name; });
  if (named.empty()) {
    return NotServed(absl::StrCat("no model is called ", Quoted(name), FailureNote(summaries_, name)), all);
  }
  if (!version.has_value()) {
    if (named.size() == 1) return named[0];
    return InvalidField("version", "unset", absl::StrCat("given, for there are several: ", Labels(named)));
  }
  for (const ServedModel* model : named) {
    if (model->summary.version() == *version) return model;
  }
  return NotServed(absl::StrCat(Quoted(name), " has no version ", Quoted(*version)), named);
}

}  // namespace heed
