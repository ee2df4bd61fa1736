// The models that this server serves, and those that it could not load: which there are, which a request means.
//
// A set of models never changes. A model that comes or goes makes a new set, which takes the old one's place; who reads
// an old one reads on. A model lives as long as somebody holds its handle.
//
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "heed/v1/model.pb.h"
#include "heed/v1/text.pb.h"
#include "server/models/served_model.h"

namespace heed {

// Which model a request means, as far as it says; versions are those of a name, languages BCP 47.
struct ModelChoice {
  std::optional<std::string> name, version, source_language, target_language;
};

// Immutable.
class ModelSet {
 public:
  using Labels = std::map<std::pair<std::string, std::string>, std::string>;  // (name, label) to version

  ModelSet() = default;
  ModelSet(std::vector<ModelHandle> models, std::vector<v1::ModelSummary> failed, Labels labels);

  const std::vector<ModelHandle>& models() const { return models_; }  // in the order in which they came
  const std::vector<v1::ModelSummary>& failed() const { return failed_; }
  const Labels& labels() const { return labels_; }
  // Ready ones by name and version, then failed ones in their order.
  std::vector<v1::ModelSummary> summaries() const;

  // The model a request means. INVALID_ARGUMENT (conflict or ambiguity, naming the candidates), NOT_FOUND (names
  // those served for the task).
  absl::StatusOr<ModelHandle> Select(v1::Task task, const ModelChoice& choice) const;
  // GetModel's look-up.
  absl::StatusOr<ModelHandle> Find(const std::string& name, const std::optional<std::string>& version) const;
  // The model that a label of a name points to. NOT_FOUND.
  absl::StatusOr<ModelHandle> FindLabel(const std::string& name, const std::string& label) const;

 private:
  std::vector<ModelHandle> models_;
  std::vector<v1::ModelSummary> failed_;
  Labels labels_;
};

class Registry {
 public:
  // What a retired model becomes, once nobody holds it any more.
  using Released = std::function<void(std::unique_ptr<ServedModel>)>;

  explicit Registry(std::vector<std::unique_ptr<ServedModel>> models = {}, std::vector<v1::ModelSummary> failed = {});

  // The set as it is now. A reader waits for the copying of a pointer at most.
  std::shared_ptr<const ModelSet> set() const;
  // Of that set.
  std::vector<ModelHandle> models() const { return set()->models(); }
  std::vector<v1::ModelSummary> summaries() const { return set()->summaries(); }
  absl::StatusOr<ModelHandle> Select(v1::Task task, const ModelChoice& choice) const {
    return set()->Select(task, choice);
  }
  absl::StatusOr<ModelHandle> Find(const std::string& name, const std::optional<std::string>& version) const {
    return set()->Find(name, version);
  }

  // ALREADY_EXISTS where one of that name and version is served.
  absl::Status CheckAbsent(const std::string& name, const std::string& version) const;
  // Serves one more from now on. ALREADY_EXISTS where one of its name and version is served; the model is destroyed.
  absl::StatusOr<ModelHandle> Add(std::unique_ptr<ServedModel> model);
  // Nobody finds it any more. `released` is called once, with the model, when the last handle of it is gone: by whoever
  // had that, maybe before Retire returns, so it should be quick; who has large memory to free does it elsewhere. Null:
  // the model is destroyed. NOT_FOUND; FAILED_PRECONDITION where a label points to it.
  absl::Status Retire(const std::string& name, const std::string& version, Released released);
  // From now on the label of that name means this version, or none where it is empty. NOT_FOUND where there is no such
  // version.
  absl::Status SetLabel(const std::string& name, const std::string& label, const std::string& version);

 private:
  void Publish(std::vector<ModelHandle> models, ModelSet::Labels labels) ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);

  absl::Mutex changing_;  // one change at a time; readers do not take it
  mutable absl::Mutex mu_ ABSL_ACQUIRED_AFTER(changing_);
  std::shared_ptr<const ModelSet> set_ ABSL_GUARDED_BY(mu_) = std::make_shared<const ModelSet>();
};

}  // namespace heed
