// Translate and Summarize: bytes parsed and admitted on the text pool, decoded by the scheduler, put back into text on
// the text pool.
#include <utility>

#include "engine/base/status_macros.h"
#include "heed/v1/summarization.pb.h"
#include "heed/v1/translation.pb.h"
#include "server/admission/errors.h"
#include "server/reply/reply.h"
#include "server/rpc/calls.h"
#include "server/rpc/message.h"

namespace heed {
namespace {

template <typename Request>
TextRequest ToTextRequest(v1::Task task, Request* message) {
  TextRequest request;
  request.task = task;
  request.model = std::move(*message->mutable_model());
  request.texts.assign(std::make_move_iterator(message->mutable_texts()->begin()),
                       std::make_move_iterator(message->mutable_texts()->end()));
  request.search = message->search();
  request.too_long = message->too_long();
  if (message->has_attention()) request.attention = message->attention();
  if (message->has_shortlist()) request.shortlist = message->shortlist();
  if (message->has_max_reply_bytes()) request.max_reply_bytes = message->max_reply_bytes();
  return request;
}

template <typename Response>
Response ToResponse(Reply reply) {
  Response response;
  *response.mutable_model() = std::move(reply.model);
  response.mutable_results()->Add(std::make_move_iterator(reply.results.begin()),
                                  std::make_move_iterator(reply.results.end()));
  return response;
}

template <typename Request, typename Response>
class TextCall : public Call {
 public:
  TextCall(v1::Task task, Rpc rpc, Core* core, grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
           grpc::ByteBuffer* reply)
      : Call(rpc, core, context, request, reply), task_(task) {}

 protected:
  void Run() override {
    core()->text_pool->Submit([this] {
      absl::Status status = AdmitAndSchedule();
      if (!status.ok()) FinishWith(std::move(status), nullptr);
    });
  }

 private:
  // OK: the scheduler has the work, and OnDecoded may have run already: the call is no longer ours to touch.
  absl::Status AdmitAndSchedule() {
    HEED_RETURN_IF_ERROR(CheckAlive());
    Request message;
    HEED_RETURN_IF_ERROR(ParseMessage(request(), &message));
    sample().texts = message.texts_size();
    // Once more than Admit does, so that a request refused for another reason is still counted under its model.
    const auto model = core()->registry->Select(task_, message.model());
    if (model.ok()) sample().model = (*model)->index;
    HEED_ASSIGN_OR_RETURN(admitted_, core()->admission->Admit(ToTextRequest(task_, &message)));
    sample().source_tokens = admitted_.source_tokens;
    HEED_RETURN_IF_ERROR(CheckAlive());
    auto item = std::make_unique<WorkItem>();
    item->model = admitted_.model->index;
    item->jobs = std::move(admitted_.jobs);
    item->deadline = deadline();
    item->cancelled = cancelled();
    item->done = [this](WorkResult result) { OnDecoded(std::move(result)); };
    sample().before_scheduler = core()->clock->Now() - start();
    absl::Status scheduled = core()->scheduler->Schedule(item);
    if (scheduled.code() != absl::StatusCode::kResourceExhausted) return scheduled;
    return WithRetryDelay(std::move(scheduled), core()->options.retry_pushback);
  }

  // On a step thread: hands the text work on at once.
  void OnDecoded(WorkResult result) {
    decoded_ = std::move(result);
    core()->text_pool->Submit([this] {
      TakeTimings(decoded_.results, decoded_.timings);
      if (!decoded_.status.ok()) {
        FinishWith(decoded_.status, nullptr);
      } else {
        Answer(std::move(decoded_.results));
      }
    });
  }

  void TakeTimings(const std::vector<DecodeResult>& results, const std::vector<JobTiming>& timings) {
    for (std::size_t i = 0; i < timings.size(); ++i) {
      SegmentSample segment;
      segment.queued = timings[i].queued;
      segment.first_token = timings[i].first_token;
      segment.total = timings[i].total;
      if (i < results.size() && !results[i].hypotheses.empty()) {
        segment.target_tokens = static_cast<int>(results[i].hypotheses[0].tokens.size());
      }
      sample().segments.push_back(segment);
    }
  }

  void Answer(std::vector<DecodeResult> results) {
    absl::StatusOr<Reply> reply = MakeReply(admitted_, std::move(results));
    if (!reply.ok()) return FinishWith(reply.status(), nullptr);
    sample().target_tokens = reply->target_tokens;
    const Response response = ToResponse<Response>(*std::move(reply));
    FinishWith(absl::OkStatus(), &response);
  }

  const v1::Task task_;
  AdmittedRequest admitted_;
  WorkResult decoded_;  // its memory is given back when gRPC has sent the reply and the call is destroyed
};

}  // namespace

grpc::ServerUnaryReactor* StartTextCall(Rpc rpc, Core* core, grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* request, grpc::ByteBuffer* reply) {
  Call* call = nullptr;
  if (rpc == Rpc::kTranslate) {
    call = new TextCall<v1::TranslateRequest, v1::TranslateResponse>(v1::TASK_TRANSLATE, rpc, core, context, request,
                                                                     reply);
  } else {
    call = new TextCall<v1::SummarizeRequest, v1::SummarizeResponse>(v1::TASK_SUMMARIZE, rpc, core, context, request,
                                                                     reply);
  }
  call->Start();
  return call;
}

}  // namespace heed
