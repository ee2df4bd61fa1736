// A set's look-ups: which model a request means, and what to say when it is none or several.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"
#include "server/models/registry.h"

namespace heed {
namespace {

using Models = std::vector<const ModelHandle*>;  // into a set: a request's look-up counts no references

std::string Title(const ServedModel& model) {
  const v1::ModelSummary& summary = model.summary;
  return absl::StrCat(summary.name(), " ", summary.version(), " (", summary.source_language(), " to ",
                      summary.target_language(), ")");
}

std::string Titles(const Models& models) {
  std::vector<std::string> titles;
  for (const ModelHandle* model : models) titles.push_back(Title(**model));
  return Listed(titles);
}

std::string TaskName(v1::Task task) { return task == v1::TASK_SUMMARIZE ? "summarization" : "translation"; }

template <typename Keep>
Models Filter(const Models& models, Keep keep) {
  Models kept;
  for (const ModelHandle* model : models) {
    if (keep((*model)->summary)) kept.push_back(model);
  }
  return kept;
}

Models AllOf(const std::vector<ModelHandle>& models) {
  Models all;
  for (const ModelHandle& model : models) all.push_back(&model);
  return all;
}

bool SpeaksLanguages(const v1::ModelSummary& summary, const ModelChoice& choice) {
  return (!choice.source_language.has_value() ||
          absl::EqualsIgnoreCase(summary.source_language(), *choice.source_language)) &&
         (!choice.target_language.has_value() ||
          absl::EqualsIgnoreCase(summary.target_language(), *choice.target_language));
}

absl::Status NotServed(absl::string_view message, const Models& served) {
  return ErrorWithInfo(absl::StatusCode::kNotFound, absl::StrCat(message, "; served: ", Titles(served)),
                       "MODEL_NOT_FOUND");
}

// " (it failed to load; ListModels says why)" where a bundle of that name or folder did.
std::string FailureNote(const std::vector<v1::ModelSummary>& failed, const std::string& name) {
  for (const v1::ModelSummary& summary : failed) {
    if (summary.name() == name || summary.folder() == name) {
      return " (its bundle failed to load; ListModels says why)";
    }
  }
  return "";
}

bool ByNameAndVersion(const v1::ModelSummary& a, const v1::ModelSummary& b) {
  return std::pair(a.name(), a.version()) < std::pair(b.name(), b.version());
}

std::string LanguagesWanted(const ModelChoice& choice) {
  return absl::StrCat("from ", choice.source_language.has_value() ? Quoted(*choice.source_language) : "any language",
                      " to ", choice.target_language.has_value() ? Quoted(*choice.target_language) : "any language");
}

}  // namespace

ModelSet::ModelSet(std::vector<ModelHandle> models, std::vector<v1::ModelSummary> failed, Labels labels)
    : models_(std::move(models)), failed_(std::move(failed)), labels_(std::move(labels)) {}

std::vector<v1::ModelSummary> ModelSet::summaries() const {
  std::vector<v1::ModelSummary> all;
  for (const ModelHandle& model : models_) all.push_back(model->summary);
  std::sort(all.begin(), all.end(), ByNameAndVersion);
  all.insert(all.end(), failed_.begin(), failed_.end());
  return all;
}

absl::StatusOr<ModelHandle> ModelSet::Select(v1::Task task, const ModelChoice& choice) const {
  const Models all = AllOf(models_);
  const Models served = Filter(all, [task](const v1::ModelSummary& s) { return s.task() == task; });
  if (served.empty()) return NotServed(absl::StrCat("this server has no ", TaskName(task), " model"), all);
  Models candidates = served;
  if (choice.version.has_value() && !choice.name.has_value()) {
    return InvalidField("model.version", Quoted(*choice.version), "given together with model.name");
  }
  if (choice.name.has_value()) {
    const auto same_name = [&](const v1::ModelSummary& s) { return s.name() == *choice.name; };
    candidates = Filter(served, same_name);
    if (candidates.empty() && !Filter(all, same_name).empty()) {
      return InvalidField("model.name", Quoted(*choice.name),
                          absl::StrCat("a ", TaskName(task), " model: ", Titles(served)));
    }
    if (candidates.empty()) {
      return NotServed(absl::StrCat("no ", TaskName(task), " model is called ", Quoted(*choice.name),
                                    FailureNote(failed_, *choice.name)),
                       served);
    }
  }
  if (choice.version.has_value()) {
    const Models named = candidates;
    candidates = Filter(named, [&](const v1::ModelSummary& s) { return s.version() == *choice.version; });
    if (candidates.empty()) {
      return NotServed(absl::StrCat(Quoted(*choice.name), " has no version ", Quoted(*choice.version)), named);
    }
  }
  const Models before = candidates;
  candidates = Filter(before, [&](const v1::ModelSummary& s) { return SpeaksLanguages(s, choice); });
  if (candidates.empty()) {
    if (choice.name.has_value()) {
      return InvalidField("model", absl::StrCat(Quoted(*choice.name), " ", LanguagesWanted(choice)),
                          absl::StrCat("without conflict: ", Titles(before)));
    }
    return NotServed(
        absl::StrCat("no ", TaskName(task), " model reads and writes what was asked for, ", LanguagesWanted(choice)),
        served);
  }
  if (candidates.size() > 1) {
    return InvalidField("model", "ambiguous", absl::StrCat("one of: ", Titles(candidates)));
  }
  return *candidates[0];
}

absl::StatusOr<ModelHandle> ModelSet::Find(const std::string& name, const std::optional<std::string>& version) const {
  if (name.empty()) return InvalidField("name", "empty", "the name of a model (ListModels lists them)");
  const Models all = AllOf(models_);
  const Models named = Filter(all, [&](const v1::ModelSummary& s) { return s.name() == name; });
  if (named.empty()) {
    return NotServed(absl::StrCat("no model is called ", Quoted(name), FailureNote(failed_, name)), all);
  }
  if (!version.has_value()) {
    if (named.size() == 1) return *named[0];
    return InvalidField("version", "unset", absl::StrCat("given, for there are several: ", Titles(named)));
  }
  for (const ModelHandle* model : named) {
    if ((*model)->summary.version() == *version) return *model;
  }
  return NotServed(absl::StrCat(Quoted(name), " has no version ", Quoted(*version)), named);
}

absl::StatusOr<ModelHandle> ModelSet::FindLabel(const std::string& name, const std::string& label) const {
  const auto found = labels_.find({name, label});
  if (found == labels_.end()) {
    return NotServed(absl::StrCat(Quoted(name), " has no label ", Quoted(label)), AllOf(models_));
  }
  return Find(name, found->second);
}

}  // namespace heed
