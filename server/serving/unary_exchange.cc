#include "server/serving/unary_exchange.h"

#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "server/admission/work.h"

namespace heed {

std::unique_ptr<WorkItem> UnaryExchange::MakeItem() {
  std::unique_ptr<WorkItem> item = MakeWork(mutable_admitted(), start(), /*streamed=*/false);
  item->done = [this](WorkResult result) { OnDecoded(std::move(result)); };
  return item;
}

void UnaryExchange::OnDecoded(WorkResult result) {
  decoded_ = std::move(result);
  SubmitAfter(admitted().reply_bytes_estimate, [this] { return AnswerSome(); });
}

bool UnaryExchange::AnswerSome() {
  if (!maker_.has_value()) {
    Pass(Stage::kReply);
    maker_.emplace(&admitted());
    std::vector<int> target_tokens;
    for (const DecodeResult& result : decoded_.results) target_tokens.push_back(TargetTokens(result));
    TakeTimings(decoded_.timings, target_tokens);
  }
  if (!made_) {
    const absl::StatusOr<bool> more = MakeSome();
    if (more.ok() && *more) return true;
    answer_ = more.status();
    made_ = true;
  }
  if (ReleaseSome()) return true;
  decoded_.results.clear();
  if (answer_.ok() && sink_->PrepareSome()) return true;
  End(std::move(answer_));
  return false;
}

absl::StatusOr<bool> UnaryExchange::MakeSome() {
  HEED_RETURN_IF_ERROR(decoded_.status);
  HEED_RETURN_IF_ERROR(CheckAlive());
  if (text_ == admitted().texts.size()) {
    TakeCounts(*maker_);
    HEED_RETURN_IF_ERROR(sink_->Add(maker_->model()));
    return false;
  }
  if (!std::exchange(making_, true)) maker_->Begin(static_cast<int>(text_), &decoded_.results);
  HEED_ASSIGN_OR_RETURN(const std::optional<v1::TextResult> result, maker_->Step());
  if (!result.has_value()) return true;
  HEED_RETURN_IF_ERROR(sink_->Add(*result));
  making_ = false;
  ++text_;
  return true;
}

void UnaryExchange::End(absl::Status status) {
  absl::Status told = Close(std::move(status));
  sink_->End(std::move(told), Receipt(this));
}

}  // namespace heed
