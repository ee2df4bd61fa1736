#include "server/rpc/call.h"

#include <chrono>
#include <optional>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/errors/errors.h"
#include "server/lifecycle/log.h"
#include "server/metrics/exemplars.h"
#include "server/rpc/bridge.h"
#include "server/rpc/message.h"
#include "server/rpc/reply_bytes.h"
#include "server/rpc/status.h"

namespace heed {
namespace {

constexpr std::size_t kMaxRequestId = 64;
constexpr char kRequestIdKey[] = "x-request-id";

// How long the client still waits; none where it has no deadline, for which gRPC gives its far future. gRPC's deadlines
// are dates, ours are not: the date may be set meanwhile. The edge lets none pass that is further than --max_deadline.
std::optional<absl::Duration> TimeLeft(const grpc::ServerContextBase& context) {
  const std::chrono::system_clock::time_point deadline = context.deadline();
  if (deadline - std::chrono::system_clock::now() > std::chrono::hours(24 * 365)) return std::nullopt;
  return absl::FromChrono(deadline) - absl::Now();
}

std::string MetadataOf(const grpc::ServerContextBase& context, const char* key) {
  const auto found = context.client_metadata().find(key);
  return found == context.client_metadata().end() ? "" : std::string(found->second.data(), found->second.size());
}

bool IsSaneId(absl::string_view id) {
  if (id.empty() || id.size() > kMaxRequestId) return false;
  for (char c : id) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

// A full queue or gate is worth another try soon; a reply that is too large is not, and says so itself.
bool WorthRetrying(const absl::Status& status) { return status.code() == absl::StatusCode::kResourceExhausted; }

}  // namespace

std::string RequestId(const grpc::ServerContextBase& context) {
  std::string id = MetadataOf(context, kRequestIdKey);
  if (IsSaneId(id)) return id;
  thread_local absl::InsecureBitGen random;
  return absl::StrCat(absl::Hex(random(), absl::kZeroPad16));
}

std::string Call::peer_address() const { return MetadataOf(context(), kPeerAddressKey); }
std::string Call::identity() const { return MetadataOf(context(), kPeerIdentityKey); }
bool Call::wants_gzip() const { return !MetadataOf(context(), kWantsGzipKey).empty(); }

Call::~Call() {
  if (closed_.has_value()) WriteLog(*closed_);
  if (inside_) core_->gate.Leave();
}

void Call::Start() {
  start_ = core_->clock->Now();
  const std::optional<absl::Duration> left = TimeLeft(*context());
  deadline_ = start_ + left.value_or(core_->options.default_deadline);
  request_id_ = RequestId(*context());
  sample_.trace_id = TraceIdOf(MetadataOf(*context(), "traceparent"));
  absl::Status entered = Enter();
  if (!entered.ok()) return Refuse(std::move(entered));
  Run();
}

absl::Status Call::Enter() {
  absl::Status entered = core_->gate.Enter();
  inside_ = entered.ok();
  if (WorthRetrying(entered)) return WithRetryDelay(std::move(entered), core_->options.retry_pushback);
  return entered;
}

absl::Status Call::CheckAlive() const {
  if (core_->clock->Now() >= deadline_) return absl::DeadlineExceededError("the deadline passed");
  if (cancelled_->load(std::memory_order_relaxed)) return absl::CancelledError("the client cancelled");
  return absl::OkStatus();
}

grpc::Status Call::Close(absl::Status status) {
  // gRPC cancels a call at its deadline, so both can be true: the deadline is the cause.
  if (status.code() == absl::StatusCode::kCancelled && core_->clock->Now() >= deadline_) {
    status = absl::DeadlineExceededError("the deadline passed");
  }
  sample_.code = status.code();
  sample_.duration = core_->clock->Now() - start_;
  core_->metrics->OnRequest(sample_);
  AddTrailers(status, context());
  context()->AddTrailingMetadata(kRequestIdKey, request_id_);
  closed_ = std::move(status);
  return ToGrpcStatus(*closed_);
}

void Call::Cancel() {
  cancelled_->store(true, std::memory_order_relaxed);
  core_->scheduler->Nudge();
}

void Call::WriteLog(const absl::Status& status) const {
  const std::string model = sample_.model == RequestSample::kUnknownModel
                                ? "unknown"
                                : core_->registry->models()[static_cast<std::size_t>(sample_.model)]->summary.name();
  Log(LogLevel::kInfo, "request",
      {{"request_id", request_id_},
       {"rpc", RpcName(sample_.rpc)},
       {"model", model},
       {"code", CodeName(status.code())},
       {"texts", static_cast<std::int64_t>(sample_.texts)},
       {"segments", static_cast<std::int64_t>(sample_.segments.size())},
       {"source_tokens", sample_.source_tokens},
       {"target_tokens", sample_.target_tokens},
       {"duration_seconds", absl::ToDoubleSeconds(sample_.duration)}});
  // INTERNAL and its like are ours to explain. No other message is logged, for it may quote what a client sent.
  if (status.code() == absl::StatusCode::kInternal || status.code() == absl::StatusCode::kUnknown) {
    Log(LogLevel::kError, "request_failed", {{"request_id", request_id_}, {"reason", std::string(status.message())}});
  }
}

void UnaryCall::FinishWith(absl::Status status, const google::protobuf::Message* reply) {
  ReplyBytes bytes;
  if (status.ok()) status = bytes.AddAll(*reply);
  while (status.ok() && wants_gzip() && bytes.GzipSome()) {
  }
  FinishWithBytes(std::move(status), std::move(bytes));
}

void UnaryCall::FinishWithBytes(absl::Status status, ReplyBytes reply) {
  if (reply.gzipped()) context()->AddInitialMetadata(kIsGzipKey, "1");
  reply_ = reply.Take();
  Finish(std::move(status));
}

void UnaryCall::Finish(absl::Status status) {
  // What the client hears of it is made here, which takes its time; gRPC is told on its own thread.
  told_ = Close(std::move(status));
  queue()->Run([this] {
    if (told_.ok()) {
      writer_.Finish(reply_, told_, answered());
    } else {
      writer_.FinishWithError(told_, answered());
    }
  });
}

}  // namespace heed
