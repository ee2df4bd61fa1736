#include "server/serving/query.h"

#include <optional>
#include <string>
#include <utility>

#include "engine/base/status_macros.h"
#include "server/lifecycle/core.h"

namespace heed {

absl::StatusOr<v1::ListModelsResponse> ListModels(const Core& core, const v1::ListModelsRequest& /*question*/,
                                                  ModelHandle* /*asked*/) {
  v1::ListModelsResponse answer;
  for (v1::ModelSummary& summary : core.registry->summaries()) *answer.add_models() = std::move(summary);
  return answer;
}

absl::StatusOr<v1::GetModelResponse> GetModel(const Core& core, const v1::GetModelRequest& question,
                                              ModelHandle* asked) {
  std::optional<std::string> version;
  if (question.has_version()) version = question.version();
  HEED_ASSIGN_OR_RETURN(const ModelHandle model, core.registry->Find(question.name(), version));
  *asked = model;
  v1::GetModelResponse answer;
  *answer.mutable_model() = model->summary;
  answer.set_spec_json(model->spec_json);
  answer.set_card(model->card);
  answer.set_parity_json(model->parity_json);
  return answer;
}

}  // namespace heed
