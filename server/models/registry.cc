#include "server/models/registry.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace heed {
namespace {

// What a handle does with its model when it was the last: a retired one has somewhere to go.
struct GiveUp {
  Registry::Released released;

  void operator()(const ServedModel* model) const {
    std::unique_ptr<ServedModel> last(const_cast<ServedModel*>(model));  // made from one that was not const
    if (released != nullptr) released(std::move(last));
  }
};

ModelHandle MakeHandle(std::unique_ptr<ServedModel> model) {
  model->summary.set_state(v1::MODEL_STATE_READY);
  return ModelHandle(model.release(), GiveUp());
}

auto Called(const std::string& name, const std::string& version) {
  return [&](const ModelHandle& model) { return model->summary.name() == name && model->summary.version() == version; };
}

absl::Status NoSuchVersion(const std::string& name, const std::string& version) {
  return absl::NotFoundError(absl::StrCat("no model is called ", name, " version ", version));
}

}  // namespace

Registry::Registry(std::vector<std::unique_ptr<ServedModel>> models, std::vector<v1::ModelSummary> failed) {
  std::vector<ModelHandle> handles;
  for (std::unique_ptr<ServedModel>& model : models) handles.push_back(MakeHandle(std::move(model)));
  for (v1::ModelSummary& summary : failed) summary.set_state(v1::MODEL_STATE_FAILED);
  absl::MutexLock lock(&mu_);
  set_ = std::make_shared<const ModelSet>(std::move(handles), std::move(failed), ModelSet::Labels());
}

std::shared_ptr<const ModelSet> Registry::set() const {
  absl::MutexLock lock(&mu_);
  return set_;
}

void Registry::Publish(std::vector<ModelHandle> models, ModelSet::Labels labels) {
  std::shared_ptr<const ModelSet> next =
      std::make_shared<const ModelSet>(std::move(models), set()->failed(), std::move(labels));
  absl::MutexLock lock(&mu_);
  set_.swap(next);
}

absl::Status Registry::CheckAbsent(const std::string& name, const std::string& version) const {
  const std::shared_ptr<const ModelSet> now = set();
  if (std::none_of(now->models().begin(), now->models().end(), Called(name, version))) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat("a model called ", name, " version ", version, " is served already"));
}

absl::StatusOr<ModelHandle> Registry::Add(std::unique_ptr<ServedModel> model) {
  absl::MutexLock lock(&changing_);
  HEED_RETURN_IF_ERROR(CheckAbsent(model->summary.name(), model->summary.version()));
  const std::shared_ptr<const ModelSet> now = set();
  std::vector<ModelHandle> models = now->models();
  ModelHandle handle = MakeHandle(std::move(model));
  models.push_back(handle);
  Publish(std::move(models), now->labels());
  return handle;
}

absl::Status Registry::Retire(const std::string& name, const std::string& version, Released released) {
  ModelHandle last;  // these let go of the model after the locks
  std::shared_ptr<const ModelSet> now;
  absl::MutexLock lock(&changing_);
  now = set();
  for (const auto& [label, of] : now->labels()) {
    if (label.first == name && of == version) {
      return absl::FailedPreconditionError(
          absl::StrCat("label ", label.second, " of ", name, " points to version ", version, "; move it first"));
    }
  }
  std::vector<ModelHandle> models = now->models();
  const auto found = std::find_if(models.begin(), models.end(), Called(name, version));
  if (found == models.end()) return NoSuchVersion(name, version);
  last = std::move(*found);
  models.erase(found);
  // Nobody reads it before the last handle is gone, and this is one.
  std::get_deleter<GiveUp>(last)->released = std::move(released);
  Publish(std::move(models), now->labels());
  return absl::OkStatus();
}

absl::Status Registry::SetLabel(const std::string& name, const std::string& label, const std::string& version) {
  absl::MutexLock lock(&changing_);
  const std::shared_ptr<const ModelSet> now = set();
  ModelSet::Labels labels = now->labels();
  if (version.empty()) {
    labels.erase({name, label});
  } else {
    if (std::none_of(now->models().begin(), now->models().end(), Called(name, version))) {
      return NoSuchVersion(name, version);
    }
    labels[{name, label}] = version;
  }
  Publish(now->models(), std::move(labels));
  return absl::OkStatus();
}

}  // namespace heed
