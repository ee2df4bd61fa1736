#include "server/serving/exchange.h"

#include <string>
#include <utility>

#include "server/errors/errors.h"
#include "server/lifecycle/log.h"
#include "server/metrics/exemplars.h"

namespace heed {

void CancelRequest(const Core& core, std::atomic<bool>* cancelled) {
  cancelled->store(true, std::memory_order_relaxed);
  core.scheduler->Nudge();
}

Exchange::Exchange(Core* core, const StageHook* on_stage, Rpc rpc, RequestContext context)
    : core_(core),
      on_stage_(on_stage),
      context_(std::move(context)),
      start_(core->clock->Now()),
      deadline_(start_ + context_.time_left.value_or(core->options.default_deadline)) {
  sample_.rpc = rpc;
  sample_.trace_id = TraceIdOf(context_.traceparent);
}

Exchange::~Exchange() {
  // When the answer has been sent, which the log would keep waiting.
  if (closed_.has_value()) WriteLog(*closed_);
  if (inside_) core_->gate.Leave();
}

absl::Status Exchange::Enter() {
  Pass(Stage::kEnter);
  absl::Status entered = core_->gate.Enter();
  inside_ = entered.ok();
  return WithPushback(std::move(entered));
}

void Exchange::SetModel(ModelHandle model) {
  model_ = std::move(model);
  sample_.model = model_->metrics;
}

absl::Status Exchange::CheckAlive() const {
  if (core_->clock->Now() >= deadline_) return absl::DeadlineExceededError("the deadline passed");
  if (context_.cancelled->load(std::memory_order_relaxed)) return absl::CancelledError("the client cancelled");
  return absl::OkStatus();
}

absl::Status Exchange::WithPushback(absl::Status status) const {
  // A full queue or gate is worth another try soon; a reply that is too large is not, and says so itself.
  if (status.code() != absl::StatusCode::kResourceExhausted) return status;
  return WithRetryDelay(std::move(status), core_->options.retry_pushback);
}

absl::Status Exchange::Close(absl::Status status) {
  Pass(Stage::kEnd);
  sample_.duration = core_->clock->Now() - start_;
  // A transport may cancel a request at its deadline, so both can be true: the deadline is the cause.
  if (status.code() == absl::StatusCode::kCancelled && start_ + sample_.duration >= deadline_) {
    status = absl::DeadlineExceededError("the deadline passed");
  }
  sample_.code = status.code();
  core_->metrics->OnRequest(sample_);
  closed_ = status;
  return status;
}

void Exchange::WriteLog(const absl::Status& status) const {
  Log(LogLevel::kInfo, "request",
      {{"request_id", context_.request_id},
       {"rpc", RpcName(sample_.rpc)},
       {"model", model_ == nullptr ? "unknown" : model_->summary.name()},
       {"code", CodeName(status.code())},
       {"texts", static_cast<std::int64_t>(sample_.texts)},
       {"segments", static_cast<std::int64_t>(sample_.segments.size())},
       {"source_tokens", sample_.source_tokens},
       {"target_tokens", sample_.target_tokens},
       {"duration_seconds", absl::ToDoubleSeconds(sample_.duration)}});
  // INTERNAL and its like are ours to explain. No other message is logged, for it may quote what a client sent.
  if (status.code() == absl::StatusCode::kInternal || status.code() == absl::StatusCode::kUnknown) {
    Log(LogLevel::kError, "request_failed",
        {{"request_id", context_.request_id}, {"reason", std::string(status.message())}});
  }
}

}  // namespace heed
