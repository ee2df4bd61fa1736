// Translate and Summarize: bytes parsed and admitted on the text pool, decoded by the scheduler, put back into text on
// the text pool.
#include <utility>

#include "engine/base/status_macros.h"
#include "server/reply/reply.h"
#include "server/rpc/calls.h"
#include "server/rpc/message.h"
#include "server/rpc/text_work.h"

namespace heed {
namespace {

template <typename Response>
Response ToResponse(Reply reply) {
  Response response;
  *response.mutable_model() = std::move(reply.model);
  response.mutable_results()->Add(std::make_move_iterator(reply.results.begin()),
                                  std::make_move_iterator(reply.results.end()));
  return response;
}

template <typename Request, typename Response>
class TextCall : public UnaryCall {
 public:
  TextCall(v1::Task task, Rpc rpc, Core* core, CallQueue* queue, const AskUnary* ask)
      : UnaryCall(rpc, core, queue, ask), work_(task, this) {}

 private:
  QueuedCall* Another() const override { return new TextCall(work_.task(), rpc(), core(), queue(), ask()); }

  void Run() override {
    work_.RunBefore(request().Length(), [this] {
      absl::Status status = AdmitAndSchedule();
      if (!status.ok()) FinishWith(std::move(status), nullptr);
    });
  }

  // OK: the scheduler has the work, and OnDecoded may have run already: the call is no longer ours to touch.
  absl::Status AdmitAndSchedule() {
    HEED_RETURN_IF_ERROR(CheckAlive());
    Request message;
    HEED_RETURN_IF_ERROR(ParseMessage(request(), MaxFields(core()->options.admission), &message));
    request().Clear();
    HEED_RETURN_IF_ERROR(work_.Admit(ToTextRequest(work_.task(), &message)));
    return work_.Schedule({}, [this](WorkResult result) { OnDecoded(std::move(result)); });
  }

  // On a step thread: hands the text work on at once.
  void OnDecoded(WorkResult result) {
    decoded_ = std::move(result);
    work_.SubmitAfter([this] {
      std::vector<int> target_tokens;
      for (const DecodeResult& result : decoded_.results) target_tokens.push_back(TargetTokens(result));
      work_.TakeTimings(decoded_.timings, target_tokens);
      if (!decoded_.status.ok()) {
        FinishWith(decoded_.status, nullptr);
      } else {
        Answer(std::move(decoded_.results));
      }
    });
  }

  void Answer(std::vector<DecodeResult> results) {
    absl::StatusOr<Reply> reply = MakeReply(work_.admitted(), std::move(results));
    if (!reply.ok()) return FinishWith(reply.status(), nullptr);
    sample().target_tokens = reply->target_tokens;
    const Response response = ToResponse<Response>(*std::move(reply));
    FinishWith(absl::OkStatus(), &response);
  }

  TextWork work_;
  WorkResult decoded_;  // its memory is given back when gRPC has sent the reply and the call is destroyed
};

}  // namespace

void AwaitTextCalls(Rpc rpc, Core* core, CallQueue* queue, const AskUnary* ask) {
  if (rpc == Rpc::kTranslate) {
    (new TextCall<v1::TranslateRequest, v1::TranslateResponse>(v1::TASK_TRANSLATE, rpc, core, queue, ask))->Await();
  } else {
    (new TextCall<v1::SummarizeRequest, v1::SummarizeResponse>(v1::TASK_SUMMARIZE, rpc, core, queue, ask))->Await();
  }
}

}  // namespace heed
