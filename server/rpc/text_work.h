// What the text RPCs, unary and streaming, have in common: a request's bytes become admitted work that the scheduler
// has, and what it answers becomes samples and results.
//
// Not thread-safe: the call that owns it uses it from one thread at a time.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "heed/v1/summarization.pb.h"
#include "heed/v1/translation.pb.h"
#include "server/reply/reply.h"
#include "server/rpc/call.h"

namespace heed {

// `message` is a TranslateRequest or a SummarizeRequest and is taken apart.
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
  request.priority = message->priority();
  if (message->has_time_budget()) request.time_budget = message->time_budget();
  return request;
}

class TextWork {
 public:
  // Neither is changed or destroyed before the work is done. `call` outlives it.
  TextWork(v1::Task task, Call* call) : task_(task), call_(call) {}

  v1::Task task() const { return task_; }

  // Text work is done on the queue's thread where it is short, for to wake another would take as long, else on the text
  // pool, a part at a time; a request that is cancelled or past its deadline then ends between two parts.
  //
  // What comes before the scheduler: parsed, admitted, scheduled, or refused. Once `schedule` gives OK and when
  // `refuse` has begun, the call is touched no more.
  struct Before {
    std::function<absl::StatusOr<TextRequest>()> parse;
    std::function<absl::Status()> schedule;
    std::function<void(absl::Status)> refuse;
  };
  // Of a request as received, a message of `type`; on the queue's thread.
  void RunBefore(const grpc::ByteBuffer& request, const google::protobuf::Descriptor& type, Before before);
  // What comes after it, once admitted: `step` until it says that no more is left; after that the call is touched no
  // more. It makes some `bytes` of a reply. On any thread.
  void SubmitAfter(std::int64_t bytes, std::function<bool()> step);

  const AdmittedRequest& admitted() const { return admitted_; }
  // Frees a part of what was admitted, for that takes time too; whether more is left.
  bool ReleaseSome() { return admitted_.ReleaseText(); }
  // What a stream is told before `done`, as WorkItem says.
  struct Along {
    std::function<void(int job, DecodedHypothesis fresh)> progress;
    std::function<void(int job, DecodeResult result)> finished;
  };
  // Gives the scheduler the admitted work. OK: `done`, and before it what `along` has (null: nothing), will be called
  // on a step thread or have been already; the call may be another thread's by now.
  absl::Status Schedule(Along along, std::function<void(WorkResult)> done);
  // Puts the jobs' times into the call's sample, with the length of each one's best hypothesis.
  void TakeTimings(const std::vector<JobTiming>& timings, const std::vector<int>& target_tokens);
  // What the whole reply came to.
  void TakeCounts(const ReplyMaker& maker);

 private:
  // Does a part of what comes before; whether more is left.
  bool BeforeSome();
  // Begins to admit the request; samples are taken of it even where it is refused.
  absl::Status BeginAdmission(TextRequest request);
  // Admits a part; whether more is left.
  absl::StatusOr<bool> AdmitSome();
  void SubmitToPool(std::int64_t memory, Priority priority, absl::Duration expected, std::function<bool()> step);
  // A look at the queue before tokenising: a refusal should cost next to nothing. Not of a short request while nothing
  // waits: the scheduler then takes it.
  absl::Status CheckRoom(const SelectedRequest& selected) const;
  // Says when to try again, where that is worth it.
  absl::Status WithPushback(absl::Status status) const;

  const v1::Task task_;
  Call* const call_;
  Before before_;
  bool long_ = false;
  std::unique_ptr<AdmissionWork> admission_;  // once parsed, until admitted
  absl::Status refused_;
  AdmittedRequest admitted_;
};

}  // namespace heed
