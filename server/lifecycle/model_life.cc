#include "server/lifecycle/model_life.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace heed {
namespace {

EngineFactory FactoryOf(const ServedModel& model, const EngineWrapper& wrap) {
  return [plan = model.plan, name = model.summary.name(), wrap]() -> absl::StatusOr<std::unique_ptr<StepEngine>> {
    absl::StatusOr<std::unique_ptr<StepEngine>> engine = plan->MakeEngine();
    if (!engine.ok()) {
      return absl::Status(engine.status().code(),
                          absl::StrCat("model ", name, ": no engine for a worker: ", engine.status().message()));
    }
    if (wrap != nullptr) return wrap(*std::move(engine));
    return engine;
  };
}

}  // namespace

absl::StatusOr<ModelHandle> ServeModel(Core* core, std::unique_ptr<ServedModel> model) {
  // Before anything is made; Add looks again.
  const v1::ModelSummary& summary = model->summary;
  HEED_RETURN_IF_ERROR(core->registry->CheckAbsent(summary.name(), summary.version()));
  model->metrics = core->metrics->AddModel(summary);
  HEED_ASSIGN_OR_RETURN(const ModelId id, core->scheduler->AddModel(FactoryOf(*model, core->wrap), model->metrics));
  model->scheduled = id;
  absl::StatusOr<ModelHandle> added = core->registry->Add(std::move(model));
  if (!added.ok()) core->scheduler->RetireModel(id, nullptr).IgnoreError();
  return added;
}

absl::Status RetireModel(Core* core, const std::string& name, const std::string& version,
                         std::function<void(std::unique_ptr<ServedModel>)> over) {
  return core->registry->Retire(name, version, [core, over = std::move(over)](std::unique_ptr<ServedModel> model) {
    const ModelId id = model->scheduled;
    // A function that can be copied has it; it is called once.
    const auto held = std::make_shared<std::unique_ptr<ServedModel>>(std::move(model));
    const auto gone = [held, over] {
      (*held)->metrics.reset();
      std::unique_ptr<ServedModel> last = std::move(*held);
      if (over != nullptr) over(std::move(last));
    };
    // Where all is drained the scheduler has let go of it already.
    if (!core->scheduler->RetireModel(id, gone).ok()) gone();
  });
}

}  // namespace heed
