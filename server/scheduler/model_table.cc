#include "server/scheduler/model_table.h"

#include <algorithm>
#include <utility>

namespace heed {

void Release(std::unique_ptr<ScheduledModel> model) {
  const std::function<void()> gone = std::move(model->gone);
  model.reset();
  if (gone != nullptr) gone();
}

ScheduledModel* ModelTable::Add(EngineFactory factory, std::shared_ptr<StepObserver> observer) {
  ++version_;
  return models_
      .emplace_back(std::make_unique<ScheduledModel>(next_id_++, std::move(factory), std::move(observer),
                                                     queue_->AddModel(), workers_))
      .get();
}

ScheduledModel* ModelTable::Find(ModelId id) const {
  for (const auto& model : models_) {
    if (model->id == id) return model.get();
  }
  return nullptr;
}

bool ModelTable::IsMade(const ScheduledModel& model) {
  return std::count(model.engines.begin(), model.engines.end(), ScheduledModel::Engine::kWanted) == 0;
}

void ModelTable::Retire(ScheduledModel* model, std::function<void()> gone) {
  model->retired = true;
  model->gone = std::move(gone);
  if (model->items == 0) ++version_;
}

ModelTable::Change ModelTable::Next(int worker) const {
  const auto at = static_cast<std::size_t>(worker);
  for (const auto& model : models_) {
    const bool leaves = model->retired && model->items == 0;
    if (leaves && model->engines[at] != ScheduledModel::Engine::kFreed) return {model.get(), false};
  }
  for (const auto& model : models_) {
    if (model->engines[at] == ScheduledModel::Engine::kWanted) return {model.get(), true};
  }
  return {};
}

void ModelTable::OnTried(ScheduledModel* model, int worker, absl::Status made) {
  model->engines[static_cast<std::size_t>(worker)] = ScheduledModel::Engine::kTried;
  model->failure.Update(std::move(made));
}

std::unique_ptr<ScheduledModel> ModelTable::OnFreed(ScheduledModel* model, int worker) {
  model->engines[static_cast<std::size_t>(worker)] = ScheduledModel::Engine::kFreed;
  model->free_rows[static_cast<std::size_t>(worker)] = 0;
  const auto freed = [](ScheduledModel::Engine engine) { return engine == ScheduledModel::Engine::kFreed; };
  if (!std::all_of(model->engines.begin(), model->engines.end(), freed)) return nullptr;
  const auto found =
      std::find_if(models_.begin(), models_.end(), [&](const auto& each) { return each.get() == model; });
  std::unique_ptr<ScheduledModel> gone = std::move(*found);
  models_.erase(found);
  queue_->RemoveModel(gone->queue);
  return gone;
}

std::vector<std::unique_ptr<ScheduledModel>> ModelTable::TakeAll() {
  for (const auto& model : models_) queue_->RemoveModel(model->queue);
  return std::exchange(models_, {});
}

}  // namespace heed
