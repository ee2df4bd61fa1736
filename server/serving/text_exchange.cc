#include "server/serving/text_exchange.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"

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

void TextExchange::Run(TextSource source) {
  if (absl::Status entered = Enter(); !entered.ok()) return End(std::move(entered));
  source_ = std::move(source);
  if (source_.bytes <= kShortRequest) {
    while (BeforeSome()) {
    }
    return;
  }
  // Source tokens take the most of it, and there are no more than bytes.
  const ServerOptions& options = core()->options;
  const std::int64_t tokens = std::int64_t{options.admission.max_segments} * options.engine.max_source_tokens;
  SubmitToPool(std::min(source_.bytes, tokens), source_.priority ? source_.priority() : Priority::kInteractive,
               TimeOf(source_.bytes, kAdmitMiB), [this] { return BeforeSome(); });
}

bool TextExchange::BeforeSome() {
  absl::Status status = refused_;
  if (status.ok() && admission_ == nullptr) {
    status = Begin();
    if (status.ok()) return true;
  } else if (status.ok()) {
    const absl::StatusOr<bool> more = AdmitSome();
    if (more.ok() && *more) return true;
    status = more.ok() ? Schedule() : more.status();
    if (status.ok()) return false;
  }
  // What it took is freed before it is refused.
  refused_ = std::move(status);
  if (admission_ != nullptr && admission_->Release()) return true;
  if (ReleaseSome()) return true;
  End(std::move(refused_));
  return false;
}

absl::Status TextExchange::Begin() {
  HEED_RETURN_IF_ERROR(CheckAlive());
  Pass(Stage::kParse);
  HEED_ASSIGN_OR_RETURN(TextRequest request, source_.parse());
  sample().texts = static_cast<int>(request.texts.size());
  Pass(Stage::kSelect);
  HEED_ASSIGN_OR_RETURN(SelectedRequest selected, core()->admission->Select(std::move(request)));
  SetModel(selected.model);
  // Not of a short request while nothing waits: the scheduler then takes it.
  if (source_.bytes > kShortRequest || core()->scheduler->waiting() > 0) {
    Pass(Stage::kRoom);
    HEED_RETURN_IF_ERROR(CheckRoom(selected));
  }
  Pass(Stage::kAdmit);
  HEED_ASSIGN_OR_RETURN(admission_, core()->admission->Start(std::move(selected)));
  return absl::OkStatus();
}

absl::Status TextExchange::CheckRoom(const SelectedRequest& selected) const {
  const TextRequest& request = selected.request;
  WorkItem least;
  least.model = selected.model->scheduled;
  least.priority = request.priority == v1::PRIORITY_BATCH ? Priority::kBatch : Priority::kInteractive;
  least.deadline = deadline();
  // How long it may take does not matter here, only that it need not take all its time.
  if (request.time_budget.has_value()) least.finish_by = least.deadline;
  for (const std::string& text : request.texts) least.waiting_bytes += static_cast<std::int64_t>(text.size());
  return WithPushback(core()->scheduler->CheckRoom(least));
}

absl::StatusOr<bool> TextExchange::AdmitSome() {
  HEED_RETURN_IF_ERROR(CheckAlive());
  HEED_ASSIGN_OR_RETURN(const bool more, admission_->Step());
  if (more) return true;
  admitted_ = admission_->Take();
  admission_.reset();
  sample().source_tokens = admitted_.source_tokens;
  HEED_RETURN_IF_ERROR(CheckAlive());
  return false;
}

absl::Status TextExchange::Schedule() {
  Pass(Stage::kDecode);
  std::unique_ptr<WorkItem> item = MakeItem();
  item->deadline = deadline();
  item->cancelled = context().cancelled;
  Core* const core = this->core();
  sample().before_scheduler = core->clock->Now() - start();
  absl::Status taken = core->scheduler->Schedule(item);
  return taken.ok() ? taken : WithPushback(std::move(taken));
}

void TextExchange::SubmitAfter(std::int64_t bytes, std::function<bool()> step) {
  if (admitted_.reply_bytes_estimate <= kShortReply) {
    return context().executor->Submit([step = std::move(step)] {
      while (step()) {
      }
    });
  }
  SubmitToPool(/*memory=*/0, admitted_.priority, TimeOf(bytes, kReplyMiB), std::move(step));
}

void TextExchange::SubmitToPool(std::int64_t memory, Priority priority, absl::Duration expected,
                                std::function<bool()> step) {
  TextTask task;
  task.info.priority = priority;
  task.info.expected = expected;
  task.info.memory = memory;
  task.info.deadline = deadline();
  task.info.cancelled = context().cancelled;
  task.step = std::move(step);
  core()->text_pool->Submit(std::move(task));
}

void TextExchange::TakeTimings(const std::vector<JobTiming>& timings, const std::vector<int>& target_tokens) {
  for (std::size_t i = 0; i < timings.size(); ++i) {
    SegmentSample segment;
    segment.queued = timings[i].queued;
    segment.first_token = timings[i].first_token;
    segment.total = timings[i].total;
    if (i < target_tokens.size()) segment.target_tokens = target_tokens[i];
    sample().segments.push_back(segment);
  }
}

void TextExchange::TakeCounts(const ReplyMaker& maker) {
  sample().target_tokens = maker.target_tokens();
  sample().doubtful_outputs = maker.doubtful_outputs();
  sample().low_coverage_segments = maker.low_coverage_segments();
}

}  // namespace heed
