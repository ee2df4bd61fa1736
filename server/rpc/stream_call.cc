// StreamTranslate and StreamSummarize. A step thread only leaves fresh tokens and results here; the text pool makes
// events of them; gRPC has one write of ours at a time. While it is under way tokens gather, and become one larger
// event: a reader that is slow costs the memory of its own tokens, which its request has leased, and nobody waits for
// it.
//
//   step thread --OnProgress, OnFinished, OnDecoded--> fresh_, finished_ --PumpSome (text pool)--> out_
//   out_ --EndPump, writes (queue's thread)--> client
//
// At most one of a pump and a write is under way; `busy_` says whether one is.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status_macros.h"
#include "server/reply/reply.h"
#include "server/reply/segment_stream.h"
#include "server/reply/tokens.h"
#include "server/rpc/calls.h"
#include "server/rpc/message.h"
#include "server/rpc/text_work.h"

namespace heed {
namespace {

// What a pump usually makes.
constexpr std::int64_t kPumpBytes = 1 << 12;

template <typename Request, typename Response>
class StreamCall : public Call {
 public:
  StreamCall(v1::Task task, Rpc rpc, Core* core, CallQueue* queue, const AskStream* ask)
      : Call(rpc, core, queue), ask_(ask), work_(task, this) {}

 private:
  void Ask(void* tag) override { (*ask_)(context(), &request_, &writer_, queue()->grpc(), tag); }
  QueuedCall* Another() const override { return new StreamCall(work_.task(), rpc(), core(), queue(), ask_); }
  void Refuse(absl::Status status) override { End(std::move(status)); }

  void Run() override {
    work_.RunBefore(request_, *Request::descriptor(),
                    {.parse = [this] { return Parse(); },
                     .schedule = [this] { return Schedule(); },
                     .refuse = [this](absl::Status status) { End(std::move(status)); }});
  }

  absl::StatusOr<TextRequest> Parse() {
    Request message;
    HEED_RETURN_IF_ERROR(ParseMessage(request_, MaxFields(core()->options.admission), &message));
    request_.Clear();
    return ToTextRequest(work_.task(), message.mutable_request());
  }

  absl::Status Schedule() {
    MakeStreams();
    return work_.Schedule({.progress = [this](int job, DecodedHypothesis fresh) { OnProgress(job, std::move(fresh)); },
                           .finished = [this](int job, DecodeResult result) { OnFinished(job, std::move(result)); }},
                          [this](WorkResult result) { OnDecoded(std::move(result)); });
  }

  void MakeStreams() {
    const AdmittedRequest& request = work_.admitted();
    tells_attention_ = request.attention.has_value() && request.attention->unit() != v1::ATTENTION_UNIT_WORDS &&
                       !request.jobs.empty() && request.jobs[0].search.beam_size == 1;
    maker_.emplace(&request);
    jobs_.resize(request.jobs.size());
    results_.resize(request.jobs.size());
    target_tokens_.resize(request.jobs.size());
    left_.resize(request.texts.size());
    for (std::size_t text = 0; text < request.texts.size(); ++text) {
      const std::vector<AdmittedSegment>& segments = request.texts[text].segments;
      for (std::size_t segment = 0; segment < segments.size(); ++segment) {
        if (segments[segment].job < 0) continue;
        jobs_[static_cast<std::size_t>(segments[segment].job)] = {
            static_cast<int>(text), std::make_unique<SegmentStream>(&request, static_cast<int>(text),
                                                                    static_cast<int>(segment), tells_attention_)};
        ++left_[text];
      }
    }
  }

  // On a step thread.
  void OnProgress(int job, DecodedHypothesis fresh) {
    absl::MutexLock lock(&mu_);
    fresh_.emplace_back(job, std::move(fresh));
    StartPump();
  }
  void OnFinished(int job, DecodeResult result) {
    absl::MutexLock lock(&mu_);
    finished_.emplace_back(job, std::move(result));
    StartPump();
  }
  void OnDecoded(WorkResult result) {
    absl::MutexLock lock(&mu_);
    decoded_ = std::move(result);
    over_ = true;
    StartPump();
  }

  void StartPump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (busy_) return;
    busy_ = true;
    work_.SubmitAfter(kPumpBytes, [this] { return PumpSome(); });
  }

  // Makes events of what there is, a part at a time, then has them written; whether more is left.
  bool PumpSome() {
    if (!std::exchange(pumping_, true)) {
      absl::MutexLock lock(&mu_);
      pumped_.fresh.swap(fresh_);
      pumped_.finished.swap(finished_);
      pumped_.over = over_;
    }
    if (dead_.ok()) dead_ = CheckAlive();
    if (dead_.ok() && !gone_ && failed_.ok() && MakeSome()) return true;
    if (pumped_.over && work_.ReleaseSome()) return true;
    queue()->Run([this] { EndPump(); });
    return false;
  }

  // An event, or a part of one; whether more is left.
  bool MakeSome() {
    if (!std::exchange(told_model_, true)) PushModel();
    if (making_.has_value()) {
      MakeResult();
    } else if (!pumped_.fresh.empty()) {
      for (auto& [job, hypothesis] : std::exchange(pumped_.fresh, {})) {
        StreamOf(job).Add(std::move(hypothesis));
        pumped_.changed.insert(job);
      }
    } else if (!pumped_.changed.empty()) {
      PushProgress(pumped_.changed.extract(pumped_.changed.begin()).value(), /*end=*/false);
    } else if (pumped_.ended < pumped_.finished.size()) {
      auto& [job, result] = pumped_.finished[pumped_.ended++];
      EndSegment(job, std::move(result));
    } else {
      return pumped_.over && decoded_.status.ok() && BeginRest();
    }
    return failed_.ok();
  }

  // On the queue's thread: writes what was made.
  void EndPump() {
    const bool over = pumped_.over;
    pumping_ = false;
    pumped_ = {};
    if (over) {
      work_.TakeTimings(decoded_.timings, target_tokens_);
      if (!decoded_.status.ok()) return End(failed_.ok() ? decoded_.status : failed_);
      failed_.Update(dead_);
      if (failed_.ok()) work_.TakeCounts(*maker_);
    }
    if (!failed_.ok()) {  // it cannot be told: the rest is not wanted
      Cancel();
      out_.clear();
    }
    ending_ = over;
    Next();
  }

  void PushModel() {
    v1::StreamEvent event;
    *event.mutable_model() = maker_->model();
    Push(std::move(event));
  }

  void PushProgress(int job, bool end) {
    std::optional<v1::SegmentProgress> progress = StreamOf(job).Take(end);
    if (!progress.has_value()) return;
    v1::StreamEvent event;
    *event.mutable_progress() = *std::move(progress);
    Push(std::move(event));
  }

  // The rest of a segment and, with a text's last one, the text's result.
  void EndSegment(int job, DecodeResult result) {
    const auto number = static_cast<std::size_t>(job);
    target_tokens_[number] = TargetTokens(result);
    if (!result.hypotheses.empty()) {
      StreamOf(job).AddRest(result.hypotheses[0]);
      PushProgress(job, /*end=*/true);
      if (tells_attention_) result.hypotheses[0].attentions.clear();
    }
    results_[number] = std::move(result);
    const int text = jobs_[number].text;
    if (--left_[static_cast<std::size_t>(text)] == 0) BeginResult(text);
  }

  // The next result of a text without a segment to decode, or with one that never started; false where there is none.
  bool BeginRest() {
    while (rest_ < left_.size() && told_.contains(static_cast<int>(rest_))) ++rest_;
    if (rest_ == left_.size()) return false;
    BeginResult(static_cast<int>(rest_));
    return true;
  }

  void BeginResult(int text) {
    told_.insert(text);
    making_ = text;
    maker_->Begin(text, &results_);
  }

  // A part of the result that is being made.
  void MakeResult() {
    absl::StatusOr<std::optional<v1::TextResult>> result = maker_->Step();
    if (!result.ok()) return failed_.Update(result.status());
    if (!result->has_value()) return;
    v1::StreamEvent event;
    event.mutable_result()->set_text(*making_);
    *event.mutable_result()->mutable_result() = **std::move(result);
    making_.reset();
    Push(std::move(event));
  }

  void Push(v1::StreamEvent event) {
    Response response;
    *response.mutable_event() = std::move(event);
    failed_.Update(SerializeMessage(response, &out_.emplace_back()));
  }

  // Writes what is left to write, else ends, or waits for more, or makes more of what came meanwhile.
  void Next() {
    if (!out_.empty()) return queue()->Run([this] { writer_.Write(out_.front(), written_.Begin()); });
    if (ending_)
      return End(!failed_.ok() ? failed_ : gone_ ? absl::CancelledError("the client went away") : absl::OkStatus());
    absl::MutexLock lock(&mu_);
    busy_ = false;
    if (over_ || !fresh_.empty() || !finished_.empty()) StartPump();
  }

  void OnWritten(bool ok) {
    out_.pop_front();
    if (!ok) {  // nobody reads any more; the scheduler's word is waited for
      gone_ = true;
      out_.clear();
      Cancel();
    }
    Next();
  }

  // The last thing that touches the call.
  void End(absl::Status status) {
    answer_ = Close(std::move(status));
    queue()->Run([this] { writer_.Finish(answer_, answered()); });
  }

  const AskStream* const ask_;
  grpc::ByteBuffer request_;
  grpc::Status answer_;
  grpc::ServerAsyncWriter<grpc::ByteBuffer> writer_{context()};
  Event written_{this, static_cast<Event::Handler>(&StreamCall::OnWritten)};
  TextWork work_;
  bool tells_attention_ = false;

  SegmentStream& StreamOf(int job) { return *jobs_[static_cast<std::size_t>(job)].stream; }

  // Of whoever is busy: a pump or a write.
  struct Job {
    int text = 0;
    std::unique_ptr<SegmentStream> stream;
  };
  std::vector<Job> jobs_;
  std::vector<DecodeResult> results_;  // by job, until their text's is made
  std::vector<int> target_tokens_;     // by job
  std::vector<int> left_;              // by text: jobs that have not finished
  std::set<int> told_;                 // texts
  std::size_t rest_ = 0;               // texts before it are told
  std::optional<ReplyMaker> maker_;
  std::deque<grpc::ByteBuffer> out_;
  bool told_model_ = false;
  // What came since the last pump, and how far this one is.
  struct Pumped {
    std::vector<std::pair<int, DecodedHypothesis>> fresh;
    std::vector<std::pair<int, DecodeResult>> finished;
    bool over = false;
    std::set<int> changed;  // jobs with progress to tell
    std::size_t ended = 0;  // of `finished`
  };
  Pumped pumped_;
  bool pumping_ = false;
  std::optional<int> making_;  // the text whose result is being made
  absl::Status dead_;          // cancelled, or past its deadline
  bool gone_ = false;          // the client
  absl::Status failed_;        // what there is to tell cannot be told
  bool ending_ = false;        // out_ has the last event

  absl::Mutex mu_;
  bool busy_ ABSL_GUARDED_BY(mu_) = false;
  bool over_ ABSL_GUARDED_BY(mu_) = false;  // decoded_ is there, and nobody changes it but a pump
  std::vector<std::pair<int, DecodedHypothesis>> fresh_ ABSL_GUARDED_BY(mu_);
  std::vector<std::pair<int, DecodeResult>> finished_ ABSL_GUARDED_BY(mu_);
  // Its memory is given back when gRPC has sent the reply and the call is destroyed.
  WorkResult decoded_;
};

}  // namespace

void AwaitStreamCalls(Rpc rpc, Core* core, CallQueue* queue, const AskStream* ask) {
  if (rpc == Rpc::kStreamTranslate) {
    (new StreamCall<v1::StreamTranslateRequest, v1::StreamTranslateResponse>(v1::TASK_TRANSLATE, rpc, core, queue, ask))
        ->Await();
  } else {
    (new StreamCall<v1::StreamSummarizeRequest, v1::StreamSummarizeResponse>(v1::TASK_SUMMARIZE, rpc, core, queue, ask))
        ->Await();
  }
}

}  // namespace heed
