// ListModels and GetModel: answered on gRPC's own thread, for nothing in them waits.
#include <optional>

#include "engine/base/status_macros.h"
#include "heed/v1/model.pb.h"
#include "server/rpc/calls.h"
#include "server/rpc/message.h"

namespace heed {
namespace {

class ListModelsCall : public UnaryCall {
 public:
  using UnaryCall::UnaryCall;

 protected:
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
  using UnaryCall::UnaryCall;

 protected:
  void Run() override {
    v1::GetModelResponse response;
    absl::Status status = Fill(&response);
    FinishWith(std::move(status), &response);
  }

 private:
  absl::Status Fill(v1::GetModelResponse* response) {
    v1::GetModelRequest message;
    HEED_RETURN_IF_ERROR(ParseMessage(request(), MaxFields(core()->options.admission), &message));
    std::optional<std::string> version;
    if (message.has_version()) version = message.version();
    HEED_ASSIGN_OR_RETURN(const ServedModel* model, core()->registry->Find(message.name(), version));
    call().sample().model = model->index;
    *response->mutable_model() = model->summary;
    response->set_spec_json(model->spec_json);
    response->set_card(model->card);
    response->set_parity_json(model->parity_json);
    return absl::OkStatus();
  }
};

}  // namespace

grpc::ServerUnaryReactor* StartModelCall(Rpc rpc, Core* core, grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request, grpc::ByteBuffer* reply) {
  UnaryCall* call = nullptr;
  if (rpc == Rpc::kListModels) {
    call = new ListModelsCall(rpc, core, context, request, reply);
  } else {
    call = new GetModelCall(rpc, core, context, request, reply);
  }
  call->Start();
  return call;
}

}  // namespace heed
