#include "server/rpc/text_work.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "engine/base/status_macros.h"
#include "server/admission/work.h"
#include "server/errors/errors.h"
#include "server/rpc/message.h"

namespace heed {

namespace {

// Some 0.1 ms each.
constexpr std::int64_t kShortRequest = 1 << 10;
constexpr std::int64_t kShortReply = 32 << 10;
// What text work takes on an ordinary core; that of one request beside others is what matters.
constexpr absl::Duration kAdmitMiB = absl::Milliseconds(250);
constexpr absl::Duration kReplyMiB = absl::Milliseconds(10);

absl::Duration TimeOf(std::int64_t bytes, absl::Duration mebibyte) {
  return std::max(absl::Microseconds(1), mebibyte * (static_cast<double>(bytes) / (1 << 20)));
}

}  // namespace

void TextWork::RunBefore(const grpc::ByteBuffer& request, const google::protobuf::Descriptor& type, Before before) {
  before_ = std::move(before);
  const auto bytes = static_cast<std::int64_t>(request.Length());
  long_ = bytes > kShortRequest;
  if (!long_) {
    while (BeforeSome()) {
    }
    return;
  }
  // Source tokens take the most of it, and there are no more than bytes.
  const ServerOptions& options = call_->core()->options;
  const std::int64_t tokens = std::int64_t{options.admission.max_segments} * options.engine.max_source_tokens;
  SubmitToPool(std::min(bytes, tokens), PeekPriority(request, MaxFields(options.admission), type),
               TimeOf(bytes, kAdmitMiB), [this] { return BeforeSome(); });
}

bool TextWork::BeforeSome() {
  absl::Status status = refused_;
  if (status.ok() && admission_ == nullptr) {
    status = call_->CheckAlive();
    if (status.ok()) {
      absl::StatusOr<TextRequest> request = before_.parse();
      status = request.ok() ? BeginAdmission(*std::move(request)) : request.status();
    }
    if (status.ok()) return true;
  } else if (status.ok()) {
    const absl::StatusOr<bool> more = AdmitSome();
    if (more.ok() && *more) return true;
    const std::function<absl::Status()> schedule = std::move(before_.schedule);  // the call may be gone when it ends
    status = more.ok() ? schedule() : more.status();
    if (status.ok()) return false;
  }
  // What it took is freed before it is refused.
  refused_ = std::move(status);
  if (admission_ != nullptr && admission_->Release()) return true;
  if (ReleaseSome()) return true;
  const std::function<void(absl::Status)> refuse = std::move(before_.refuse);
  refuse(std::move(refused_));
  return false;
}

void TextWork::SubmitAfter(std::int64_t bytes, std::function<bool()> step) {
  if (admitted_.reply_bytes_estimate <= kShortReply) {
    return call_->queue()->Submit([step = std::move(step)] {
      while (step()) {
      }
    });
  }
  SubmitToPool(/*memory=*/0, admitted_.priority, TimeOf(bytes, kReplyMiB), std::move(step));
}

void TextWork::SubmitToPool(std::int64_t memory, Priority priority, absl::Duration expected,
                            std::function<bool()> step) {
  TextTask task;
  task.info.priority = priority;
  task.info.expected = expected;
  task.info.memory = memory;
  task.info.deadline = call_->deadline();
  task.info.cancelled = call_->cancelled();
  task.step = std::move(step);
  call_->core()->text_pool->Submit(std::move(task));
}

absl::Status TextWork::BeginAdmission(TextRequest request) {
  call_->sample().texts = static_cast<int>(request.texts.size());
  const Core& core = *call_->core();
  HEED_ASSIGN_OR_RETURN(SelectedRequest selected, core.admission->Select(std::move(request)));
  call_->sample().model = selected.model->index;  // refused for another reason, it is counted under its model
  if (long_ || core.scheduler->waiting() > 0) HEED_RETURN_IF_ERROR(CheckRoom(selected));
  HEED_ASSIGN_OR_RETURN(admission_, core.admission->Start(std::move(selected)));
  return absl::OkStatus();
}

absl::StatusOr<bool> TextWork::AdmitSome() {
  HEED_RETURN_IF_ERROR(call_->CheckAlive());
  HEED_ASSIGN_OR_RETURN(const bool more, admission_->Step());
  if (more) return true;
  admitted_ = admission_->Take();
  admission_.reset();
  call_->sample().source_tokens = admitted_.source_tokens;
  HEED_RETURN_IF_ERROR(call_->CheckAlive());
  return false;
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

absl::Status TextWork::CheckRoom(const SelectedRequest& selected) const {
  const TextRequest& request = selected.request;
  WorkItem least;
  least.model = selected.model->index;
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

void TextWork::TakeCounts(const ReplyMaker& maker) {
  RequestSample& sample = call_->sample();
  sample.target_tokens = maker.target_tokens();
  sample.doubtful_outputs = maker.doubtful_outputs();
  sample.low_coverage_segments = maker.low_coverage_segments();
}

}  // namespace heed
