#include "client/bench/load.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/bench/call.h"
#include "client/channel.h"

namespace heed::bench {
namespace {

// Sends on the caller's thread; what comes back is taken by one thread of its own, which alone polls the connections.
class Generator {
 public:
  Generator(const LoadOptions& options, const std::vector<Prepared>& prepared, const std::atomic<bool>& stop,
            Recorder* recorder)
      : options_(options), prepared_(prepared), stop_(stop), recorder_(recorder), random_(options.seed) {}
  ~Generator() {
    queue_.Shutdown();
    if (receiver_.joinable()) receiver_.join();
  }

  absl::Status Connect() {
    for (int i = 0; i < options_.connections; ++i) {
      auto channel = MakeChannel(options_.client, /*own_connection=*/true);
      if (!channel.ok()) return channel.status();
      if (!(*channel)->WaitForConnected(absl::ToChronoTime(absl::Now() + absl::Seconds(5)))) {
        return absl::UnavailableError("no connection within 5 s");
      }
      stubs_.push_back(std::make_unique<grpc::GenericStub>(*channel));
    }
    start_ = std::chrono::steady_clock::now();
    receiver_ = std::thread([this] { Receive(); });
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
    Call* const call = Call::Make(prepared_[static_cast<std::size_t>(number) % prepared_.size()]).release();
    call->number = number;
    call->context.set_deadline(absl::ToChronoTime(absl::Now() + options_.timeout));
    {
      absl::MutexLock lock(&mu_);
      ++calls_;
      if (options_.cancel_fraction > 0 && std::bernoulli_distribution(options_.cancel_fraction)(random_)) {
        const double part = std::uniform_real_distribution<double>(0, 1)(random_);
        cancels_.emplace(Now() + options_.cancel_within * part, number);
      }
      live_[number] = call;
    }
    call->outcome.due = due;
    call->outcome.sent = Now();
    recorder_->Sent(due);
    call->Start(stubs_[static_cast<std::size_t>(number) % stubs_.size()].get(), &queue_);
  }

  void Receive() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      auto* const call = static_cast<Call*>(tag);
      if (call->Happen(ok, Now())) End(std::unique_ptr<Call>(call));
    }
  }

  void End(std::unique_ptr<Call> call) {
    const bool unavailable = call->status.error_code() == grpc::StatusCode::UNAVAILABLE;
    call->outcome.code = static_cast<absl::StatusCode>(call->status.error_code());
    call->outcome.message = call->status.error_message();
    {
      absl::MutexLock lock(&mu_);
      live_.erase(call->number);
    }
    recorder_->Add(call->outcome);
    call.reset();
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
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::chrono::steady_clock::time_point start_;
  grpc::CompletionQueue queue_;
  std::thread receiver_;

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
