#include "server/rpc/text_work.h"

#include "engine/base/status_macros.h"
#include "server/admission/errors.h"
#include "server/admission/work.h"

namespace heed {

namespace {

// Some 0.1 ms each.
constexpr std::size_t kShortRequest = 1 << 10;
constexpr std::int64_t kShortReply = 32 << 10;

}  // namespace

void TextWork::RunBefore(std::size_t request_bytes, std::function<void()> work) {
  if (request_bytes <= kShortRequest) return work();
  call_->core()->text_pool->Submit(std::move(work));
}

void TextWork::SubmitAfter(std::function<void()> work) {
  if (admitted_.reply_bytes_estimate <= kShortReply) return call_->queue()->Submit(std::move(work));
  call_->core()->text_pool->Submit(std::move(work));
}

absl::Status TextWork::Admit(TextRequest request) {
  HEED_RETURN_IF_ERROR(call_->CheckAlive());
  call_->sample().texts = static_cast<int>(request.texts.size());
  // Once more than Admit does, so that a request refused for another reason is still counted under its model.
  const auto model = call_->core()->registry->Select(task_, request.model);
  if (model.ok()) {
    call_->sample().model = (*model)->index;
    HEED_RETURN_IF_ERROR(CheckRoom(**model, request));
  }
  HEED_ASSIGN_OR_RETURN(admitted_, call_->core()->admission->Admit(std::move(request)));
  call_->sample().source_tokens = admitted_.source_tokens;
  return call_->CheckAlive();
}

absl::Status TextWork::Schedule(Along along, std::function<void(WorkResult)> done) {
  std::unique_ptr<WorkItem> item = MakeWork(&admitted_, call_->start(), /*streamed=*/along.progress != nullptr);
  item->deadline = call_->deadline();
  item->cancelled = call_->cancelled();
  item->progress = std::move(along.progress);
  item->finished = std::move(along.finished);
  item->done = std::move(done);
  Core* const core = call_->core();
  call_->sample().before_scheduler = core->clock->Now() - call_->start();
  return WithPushback(core->scheduler->Schedule(item));
}

absl::Status TextWork::CheckRoom(const ServedModel& model, const TextRequest& request) const {
  WorkItem least;
  least.model = model.index;
  least.priority = request.priority == v1::PRIORITY_BATCH ? Priority::kBatch : Priority::kInteractive;
  least.deadline = call_->deadline();
  // How long it may take does not matter here, only that it need not take all its time.
  if (request.time_budget.has_value()) least.finish_by = least.deadline;
  for (const std::string& text : request.texts) least.waiting_bytes += static_cast<std::int64_t>(text.size());
  return WithPushback(call_->core()->scheduler->CheckRoom(least));
}

absl::Status TextWork::WithPushback(absl::Status status) const {
  if (status.code() != absl::StatusCode::kResourceExhausted) return status;
  return WithRetryDelay(std::move(status), call_->core()->options.retry_pushback);
}

void TextWork::TakeTimings(const std::vector<JobTiming>& timings, const std::vector<int>& target_tokens) {
  for (std::size_t i = 0; i < timings.size(); ++i) {
    SegmentSample segment;
    segment.queued = timings[i].queued;
    segment.first_token = timings[i].first_token;
    segment.total = timings[i].total;
    if (i < target_tokens.size()) segment.target_tokens = target_tokens[i];
    call_->sample().segments.push_back(segment);
  }
}

}  // namespace heed
