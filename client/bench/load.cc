#include "client/bench/load.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <random>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/channel.h"
#include "heed/v1/summarization.pb.h"
#include "heed/v1/translation.pb.h"

namespace heed::bench {
namespace {

using Stub = grpc::GenericStub;

const char* Method(Rpc rpc) {
  switch (rpc) {
    case Rpc::kTranslate:
      return "/heed.v1.TranslationService/Translate";
    case Rpc::kSummarize:
      return "/heed.v1.SummarizationService/Summarize";
    case Rpc::kStreamTranslate:
      return "/heed.v1.TranslationService/StreamTranslate";
    case Rpc::kStreamSummarize:
      return "/heed.v1.SummarizationService/StreamSummarize";
  }
  return "";
}

template <typename Message>
bool Parse(grpc::ByteBuffer* bytes, Message* message) {
  grpc::Slice slice;
  return bytes->DumpToSingleSlice(&slice).ok() &&
         message->ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
}

std::int64_t TokensOf(const v1::TextResult& result) {
  std::int64_t tokens = 0;
  for (const v1::Segment& segment : result.output().segments()) {
    if (segment.hypotheses_size() > 0) tokens += segment.hypotheses(0).tokens_size();
  }
  return tokens;
}

template <typename Response>
std::int64_t TokensOfReply(grpc::ByteBuffer* bytes) {
  Response response;
  std::int64_t tokens = 0;
  if (Parse(bytes, &response)) {
    for (const v1::TextResult& result : response.results()) tokens += TokensOf(result);
  }
  return tokens;
}

// A request under way. `Ended` is the last thing that happens to it.
struct Call {
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  Outcome outcome;
  std::function<void(Call*, const grpc::Status&)> ended;
};

// A stream's reactor lives with its call until OnDone.
template <typename Response>
class StreamReader : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  StreamReader(Call* call, std::function<absl::Duration()> now) : call_(call), now_(std::move(now)) {}

  void Start() {
    StartWriteLast(&call_->request, grpc::WriteOptions());
    StartRead(&bytes_);
    StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    Response response;
    if (Parse(&bytes_, &response)) {
      const std::int64_t whole = TokensOf(response.event().result().result());
      const bool told = response.event().progress().tokens_size() > 0 || whole > 0;
      if (told && call_->outcome.first == absl::ZeroDuration()) call_->outcome.first = now_();
      call_->outcome.tokens += whole;
    }
    StartRead(&bytes_);
  }
  void OnDone(const grpc::Status& status) override {
    call_->outcome.ended = now_();
    call_->ended(call_, status);
    delete this;
  }

  Call* const call_;
  const std::function<absl::Duration()> now_;
  grpc::ByteBuffer bytes_;
};

class Generator {
 public:
  Generator(const LoadOptions& options, const std::vector<Prepared>& prepared, const std::atomic<bool>& stop,
            Recorder* recorder)
      : options_(options), prepared_(prepared), stop_(stop), recorder_(recorder), random_(options.seed) {}

  absl::Status Connect() {
    for (int i = 0; i < options_.connections; ++i) {
      auto channel = MakeChannel(options_.client, /*own_connection=*/true);
      if (!channel.ok()) return channel.status();
      if (!(*channel)->WaitForConnected(absl::ToChronoTime(absl::Now() + absl::Seconds(5)))) {
        return absl::UnavailableError("no connection within 5 s");
      }
      stubs_.push_back(std::make_unique<Stub>(*channel));
    }
    start_ = std::chrono::steady_clock::now();
    return absl::OkStatus();
  }

  void RunOpen(Arrivals arrivals) {
    for (std::int64_t sent = 0; options_.requests == 0 || sent < options_.requests; ++sent) {
      const std::optional<absl::Duration> due = arrivals.Next();
      if (!due.has_value() || *due >= options_.duration) break;
      if (!SleepUntil(*due)) break;
      if (recorder_->in_flight() < options_.max_in_flight) {
        Send(*due, TakeNumber());
      } else {
        recorder_->NotSent(*due);
      }
    }
  }

  // Each request that ends is followed by the next.
  void RunClosed() {
    for (int i = 0; i < options_.concurrency; ++i) SendNextOfClosedLoop();
    SleepUntil(options_.duration);
  }

  void WaitForTheRest() {
    recorder_->Close();
    while (true) {
      {
        absl::MutexLock lock(&mu_);
        if (calls_ == 0) return;
      }
      if (stop_) {
        CancelAll();
        absl::SleepFor(absl::Milliseconds(20));
      }
      SleepUntil(Now() + absl::Milliseconds(20));
    }
  }

 private:
  absl::Duration Now() const { return absl::FromChrono(std::chrono::steady_clock::now() - start_); }

  // Does what is due on the way; false: stopped.
  bool SleepUntil(absl::Duration time) {
    for (;;) {
      const absl::Duration now = Now();
      const absl::Duration next = std::min(CancelDue(now), SendAfterPauses(now));
      {
        absl::MutexLock lock(&mu_);
        if (options_.concurrency > 0 && calls_ == 0) return true;  // a closed loop of a fixed number is through
      }
      if (stop_) return time <= now;
      if (now >= time) return true;
      absl::SleepFor(std::min({time, next, now + absl::Milliseconds(50)}) - now);
    }
  }

  // Cancels the requests whose time it is; returns when the next is due.
  absl::Duration CancelDue(absl::Duration now) {
    absl::MutexLock lock(&mu_);
    while (!cancels_.empty() && cancels_.top().first <= now) {
      if (const auto call = live_.find(cancels_.top().second); call != live_.end()) {
        call->second->outcome.cancelled = true;
        call->second->context.TryCancel();
      }
      cancels_.pop();
    }
    return cancels_.empty() ? absl::InfiniteDuration() : cancels_.top().first;
  }

  // Sends for the callers whose pause is over; returns when the next one's is.
  absl::Duration SendAfterPauses(absl::Duration now) {
    for (;;) {
      {
        absl::MutexLock lock(&mu_);
        if (pauses_.empty()) return absl::InfiniteDuration();
        if (pauses_.front() > now) return pauses_.front();
        pauses_.pop_front();
      }
      SendNextOfClosedLoop();
      absl::MutexLock lock(&mu_);
      --calls_;
    }
  }

  void CancelAll() {
    absl::MutexLock lock(&mu_);
    for (auto& [number, call] : live_) {
      call->outcome.cancelled = true;
      call->context.TryCancel();
    }
  }

  void SendNextOfClosedLoop() {
    const absl::Duration now = Now();
    std::int64_t number = 0;
    {
      absl::MutexLock lock(&mu_);
      if (stop_ || now >= options_.duration || (options_.requests > 0 && number_ >= options_.requests)) return;
      number = number_++;
    }
    Send(now, number);
  }

  std::int64_t TakeNumber() {
    absl::MutexLock lock(&mu_);
    return number_++;
  }

  void Send(absl::Duration due, std::int64_t number) {
    auto* call = new Call();
    {
      absl::MutexLock lock(&mu_);
      ++calls_;
      if (options_.cancel_fraction > 0 && std::bernoulli_distribution(options_.cancel_fraction)(random_)) {
        const double part = std::uniform_real_distribution<double>(0, 1)(random_);
        cancels_.emplace(Now() + options_.cancel_within * part, number);
      }
      live_[number] = call;
    }
    const Prepared& prepared = prepared_[static_cast<std::size_t>(number) % prepared_.size()];
    const grpc::Slice slice(prepared.bytes);
    call->request = grpc::ByteBuffer(&slice, 1);
    call->context.set_deadline(absl::ToChronoTime(absl::Now() + options_.timeout));
    call->outcome.rpc = prepared.rpc;
    call->outcome.batch = prepared.batch;
    call->outcome.due = due;
    call->outcome.sent = Now();
    call->ended = [this, number](Call* ended, const grpc::Status& status) { End(number, ended, status); };
    recorder_->Sent(due);
    Stub* const stub = stubs_[static_cast<std::size_t>(number) % stubs_.size()].get();
    Start(stub, call);
  }

  void Start(Stub* stub, Call* call) {
    const Rpc rpc = call->outcome.rpc;
    if (rpc == Rpc::kTranslate || rpc == Rpc::kSummarize) {
      auto reply = std::make_shared<grpc::ByteBuffer>();
      stub->UnaryCall(&call->context, Method(rpc), {}, &call->request, reply.get(),
                      [this, call, reply, rpc](const grpc::Status& status) {
                        call->outcome.ended = Now();
                        if (status.ok()) {
                          call->outcome.tokens = rpc == Rpc::kTranslate
                                                     ? TokensOfReply<v1::TranslateResponse>(reply.get())
                                                     : TokensOfReply<v1::SummarizeResponse>(reply.get());
                        }
                        call->ended(call, status);
                      });
    } else if (rpc == Rpc::kStreamTranslate) {
      StartStream<v1::StreamTranslateResponse>(stub, call);
    } else {
      StartStream<v1::StreamSummarizeResponse>(stub, call);
    }
  }

  template <typename Response>
  void StartStream(Stub* stub, Call* call) {
    auto* reader = new StreamReader<Response>(call, [this] { return Now(); });
    stub->PrepareBidiStreamingCall(&call->context, Method(call->outcome.rpc), {}, reader);
    reader->Start();
  }

  void End(std::int64_t number, Call* call, const grpc::Status& status) {
    const bool unavailable = status.error_code() == grpc::StatusCode::UNAVAILABLE;
    call->outcome.code = static_cast<absl::StatusCode>(status.error_code());
    call->outcome.message = status.error_message();
    {
      absl::MutexLock lock(&mu_);
      live_.erase(number);
    }
    recorder_->Add(call->outcome);
    delete call;
    if (options_.concurrency > 0 && !unavailable) SendNextOfClosedLoop();
    absl::MutexLock lock(&mu_);
    if (options_.concurrency > 0 && unavailable) {
      pauses_.push_back(Now() + absl::Milliseconds(50));
    } else {
      --calls_;
    }
  }

  const LoadOptions& options_;
  const std::vector<Prepared>& prepared_;
  const std::atomic<bool>& stop_;
  Recorder* const recorder_;
  std::vector<std::unique_ptr<Stub>> stubs_;
  std::chrono::steady_clock::time_point start_;

  absl::Mutex mu_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mu_);
  std::int64_t number_ ABSL_GUARDED_BY(mu_) = 0;  // requests sent, or about to be
  std::int64_t calls_ ABSL_GUARDED_BY(mu_) = 0;   // that have not ended, or whose successor is still to be sent
  std::map<std::int64_t, Call*> live_ ABSL_GUARDED_BY(mu_);
  std::deque<absl::Duration> pauses_ ABSL_GUARDED_BY(mu_);  // of callers of a closed loop: when each goes on
  using Cancel = std::pair<absl::Duration, std::int64_t>;   // when, which
  std::priority_queue<Cancel, std::vector<Cancel>, std::greater<>> cancels_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::Status RunLoad(const LoadOptions& options, Arrivals arrivals, const std::vector<Prepared>& prepared,
                     const std::atomic<bool>& stop, Recorder* recorder) {
  Generator generator(options, prepared, stop, recorder);
  if (absl::Status status = generator.Connect(); !status.ok()) return status;
  if (options.concurrency > 0) {
    generator.RunClosed();
  } else {
    generator.RunOpen(std::move(arrivals));
  }
  generator.WaitForTheRest();
  return absl::OkStatus();
}

}  // namespace heed::bench
