// ListModels and GetModel: answered on the queue's thread, for nothing in them waits.
#include <optional>

#include "engine/base/status_macros.h"
#include "heed/v1/model.pb.h"
#include "server/rpc/calls.h"
#include "server/rpc/message.h"

namespace heed {
namespace {

class ListModelsCall : public UnaryCall {
 public:
  ListModelsCall(Core* core, CallQueue* queue, const AskUnary* ask) : UnaryCall(Rpc::kListModels, core, queue, ask) {}

 private:
  QueuedCall* Another() const override { return new ListModelsCall(core(), queue(), ask()); }

  void Run() override {
    v1::ListModelsRequest message;
    if (absl::Status status = ParseMessage(request(), MaxFields(core()->options.admission), &message); !status.ok())
      return FinishWith(status, nullptr);
    v1::ListModelsResponse response;
    for (const v1::ModelSummary& summary : core()->registry->summaries()) *response.add_models() = summary;
    FinishWith(absl::OkStatus(), &response);
  }
};

class GetModelCall : public UnaryCall {
 public:
  GetModelCall(Core* core, CallQueue* queue, const AskUnary* ask) : UnaryCall(Rpc::kGetModel, core, queue, ask) {}

 private:
  QueuedCall* Another() const override { return new GetModelCall(core(), queue(), ask()); }

  void Run() override {
    v1::GetModelResponse response;
    absl::Status status = Fill(&response);
    FinishWith(std::move(status), &response);
  }

  absl::Status Fill(v1::GetModelResponse* response) {
    v1::GetModelRequest message;
    HEED_RETURN_IF_ERROR(ParseMessage(request(), MaxFields(core()->options.admission), &message));
    std::optional<std::string> version;
    if (message.has_version()) version = message.version();
    HEED_ASSIGN_OR_RETURN(const ServedModel* model, core()->registry->Find(message.name(), version));
    sample().model = model->index;
    *response->mutable_model() = model->summary;
    response->set_spec_json(model->spec_json);
    response->set_card(model->card);
    response->set_parity_json(model->parity_json);
    return absl::OkStatus();
  }
};

}  // namespace

void AwaitModelCalls(Rpc rpc, Core* core, CallQueue* queue, const AskUnary* ask) {
  if (rpc == Rpc::kListModels) {
    (new ListModelsCall(core, queue, ask))->Await();
  } else {
    (new GetModelCall(core, queue, ask))->Await();
  }
}

}  // namespace heed
