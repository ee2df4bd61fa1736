// Translate and Summarize: bytes parsed and admitted on the text pool, decoded by the scheduler, put back into text on
// the text pool.
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "server/reply/reply.h"
#include "server/rpc/calls.h"
#include "server/rpc/message.h"
#include "server/rpc/text_work.h"

namespace heed {
namespace {

template <typename Request, typename Response>
class TextCall : public UnaryCall {
 public:
  TextCall(v1::Task task, Rpc rpc, Core* core, CallQueue* queue, const AskUnary* ask)
      : UnaryCall(rpc, core, queue, ask), work_(task, this) {}

 private:
  QueuedCall* Another() const override { return new TextCall(work_.task(), rpc(), core(), queue(), ask()); }

  void Run() override {
    work_.RunBefore(
        request(), *Request::descriptor(),
        {.parse = [this] { return Parse(); },
         .schedule = [this] { return work_.Schedule({}, [this](WorkResult r) { OnDecoded(std::move(r)); }); },
         .refuse = [this](absl::Status status) { FinishWith(std::move(status), nullptr); }});
  }

  absl::StatusOr<TextRequest> Parse() {
    Request message;
    HEED_RETURN_IF_ERROR(ParseMessage(request(), MaxFields(core()->options.admission), &message));
    request().Clear();
    return ToTextRequest(work_.task(), &message);
  }

  // On a step thread: hands the text work on at once.
  void OnDecoded(WorkResult result) {
    decoded_ = std::move(result);
    work_.SubmitAfter(work_.admitted().reply_bytes_estimate, [this] { return AnswerSome(); });
  }

  // Makes a part of the answer, or frees one of what it was made of; whether more is left.
  bool AnswerSome() {
    if (!maker_.has_value()) {
      maker_.emplace(&work_.admitted());
      std::vector<int> target_tokens;
      for (const DecodeResult& result : decoded_.results) target_tokens.push_back(TargetTokens(result));
      work_.TakeTimings(decoded_.timings, target_tokens);
    }
    if (!made_) {
      const absl::StatusOr<bool> more = MakeSome();
      if (more.ok() && *more) return true;
      answer_ = more.status();
      made_ = true;
    }
    if (work_.ReleaseSome()) return true;
    decoded_.results.clear();
    if (answer_.ok() && wants_gzip() && reply_.GzipSome()) return true;
    FinishWithBytes(answer_, std::move(reply_));
    return false;
  }

  // A part of the reply, each text's result serialised once it is whole; whether more is left.
  absl::StatusOr<bool> MakeSome() {
    HEED_RETURN_IF_ERROR(decoded_.status);
    HEED_RETURN_IF_ERROR(CheckAlive());
    if (text_ == work_.admitted().texts.size()) {
      work_.TakeCounts(*maker_);
      HEED_RETURN_IF_ERROR(reply_.Add(Response::kModelFieldNumber, maker_->model()));
      return false;
    }
    if (!std::exchange(making_, true)) maker_->Begin(static_cast<int>(text_), &decoded_.results);
    HEED_ASSIGN_OR_RETURN(const std::optional<v1::TextResult> result, maker_->Step());
    if (!result.has_value()) return true;
    HEED_RETURN_IF_ERROR(reply_.Add(Response::kResultsFieldNumber, *result));
    making_ = false;
    ++text_;
    return true;
  }

  TextWork work_;
  WorkResult decoded_;  // its memory is given back when gRPC has sent the reply and the call is destroyed
  // The answer on its way.
  std::optional<ReplyMaker> maker_;
  std::size_t text_ = 0;  // next
  bool making_ = false;   // that text
  bool made_ = false;     // all of it, or answer_ says why not
  absl::Status answer_;
  ReplyBytes reply_;
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
