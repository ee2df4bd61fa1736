#include "server/rpc/methods.h"

#include "heed/v1/model.grpc.pb.h"
#include "heed/v1/summarization.grpc.pb.h"
#include "heed/v1/translation.grpc.pb.h"
#include "server/rpc/query_call.h"
#include "server/rpc/stream_call.h"
#include "server/rpc/text_call.h"

namespace heed {
namespace {

// Messages are parsed by us (message.h), so services are asked for their calls in raw form.
using Translation = v1::TranslationService::WithRawMethod_Translate<
    v1::TranslationService::WithRawMethod_StreamTranslate<v1::TranslationService::Service>>;
using Summarization = v1::SummarizationService::WithRawMethod_Summarize<
    v1::SummarizationService::WithRawMethod_StreamSummarize<v1::SummarizationService::Service>>;
using Models =
    v1::ModelService::WithRawMethod_ListModels<v1::ModelService::WithRawMethod_GetModel<v1::ModelService::Service>>;

// How a service is asked for the next call: `request` is a method of its, RequestTranslate, say.
template <typename Service, typename Base, typename Writer>
AskFor<Writer> AskWith(Service* service,
                       void (Base::*request)(grpc::ServerContext*, grpc::ByteBuffer*, Writer*, grpc::CompletionQueue*,
                                             grpc::ServerCompletionQueue*, void*)) {
  return [service, request](grpc::ServerContext* context, grpc::ByteBuffer* bytes, Writer* writer,
                            grpc::ServerCompletionQueue* queue,
                            void* tag) { (service->*request)(context, bytes, writer, queue, queue, tag); };
}

class Table : public Methods {
 public:
  std::vector<grpc::Service*> services() override { return {&translation_, &summarization_, &models_}; }

  // A row: its messages and its kind; what it is counted as; the task, or the stage that answers a question; how gRPC
  // is asked for it. The stages of a kind are server/serving/stage.h's.
  void AwaitCalls(const CallPlace& place) override {
    Await<TextCall<v1::TranslateRequest, v1::TranslateResponse>>(
        place, Rpc::kTranslate, v1::TASK_TRANSLATE, AskWith(&translation_, &Translation::RequestTranslate));
    Await<StreamCall<v1::StreamTranslateRequest, v1::StreamTranslateResponse>>(
        place, Rpc::kStreamTranslate, v1::TASK_TRANSLATE, AskWith(&translation_, &Translation::RequestStreamTranslate));
    Await<TextCall<v1::SummarizeRequest, v1::SummarizeResponse>>(
        place, Rpc::kSummarize, v1::TASK_SUMMARIZE, AskWith(&summarization_, &Summarization::RequestSummarize));
    Await<StreamCall<v1::StreamSummarizeRequest, v1::StreamSummarizeResponse>>(
        place, Rpc::kStreamSummarize, v1::TASK_SUMMARIZE,
        AskWith(&summarization_, &Summarization::RequestStreamSummarize));
    Await<QueryCall<v1::ListModelsRequest, v1::ListModelsResponse>>(place, Rpc::kListModels, &ListModels,
                                                                    AskWith(&models_, &Models::RequestListModels));
    Await<QueryCall<v1::GetModelRequest, v1::GetModelResponse>>(place, Rpc::kGetModel, &GetModel,
                                                                AskWith(&models_, &Models::RequestGetModel));
  }

 private:
  // It owns itself.
  template <typename OneCall, typename... Row>
  static void Await(const CallPlace& place, Row... row) {
    (new OneCall(place, row...))->Await();
  }

  Translation translation_;
  Summarization summarization_;
  Models models_;
};

const google::protobuf::ServiceDescriptor* ServiceOf(const google::protobuf::Descriptor& request, const char* name) {
  return request.file()->FindServiceByName(name);
}

}  // namespace

const std::vector<ServiceRow>& ServiceRows() {
  static const auto* const rows = new std::vector<ServiceRow>{
      {ServiceOf(*v1::TranslateRequest::descriptor(), "TranslationService"), v1::TASK_TRANSLATE},
      {ServiceOf(*v1::SummarizeRequest::descriptor(), "SummarizationService"), v1::TASK_SUMMARIZE},
      {ServiceOf(*v1::GetModelRequest::descriptor(), "ModelService"), v1::TASK_UNSPECIFIED}};
  return *rows;
}

std::unique_ptr<Methods> Methods::Make() { return std::make_unique<Table>(); }

}  // namespace heed
