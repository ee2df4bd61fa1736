#include "server/rpc/health.h"

#include <optional>

namespace heed {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

}  // namespace

class Health::CheckCall : public QueuedCall {
 public:
  CheckCall(Health* health, CallQueue* queue) : QueuedCall(queue), health_(health) {}

 private:
  void Ask(void* tag) override {
    health_->service_.RequestCheck(context(), &request_, &writer_, queue()->grpc(), queue()->grpc(), tag);
  }
  QueuedCall* Another() const override { return new CheckCall(health_, queue()); }

  void Start() override {
    HealthCheckResponse response;
    {
      absl::MutexLock lock(&health_->mu_);
      response.set_status(health_->Get(request_.service()));
    }
    if (response.status() == HealthCheckResponse::SERVICE_UNKNOWN) {
      writer_.FinishWithError({grpc::StatusCode::NOT_FOUND, "service name unknown"}, answered());
    } else {
      writer_.Finish(response, grpc::Status::OK, answered());
    }
  }
  void Cancel() override {}

  Health* const health_;
  HealthCheckRequest request_;
  grpc::ServerAsyncResponseWriter<HealthCheckResponse> writer_{context()};
};

class Health::WatchCall : public QueuedCall {
 public:
  WatchCall(Health* health, CallQueue* queue) : QueuedCall(queue), health_(health) {}

  // Under the lock of health_.
  void OnChange() {
    health_->mu_.AssertHeld();
    Advance();
  }

 private:
  // Tells the status if it is another than the client knows. One write at a time: statuses that change meanwhile
  // become one.
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(health_->mu_) {
    if (writing_) return;
    const Status status = health_->Get(request_.service());
    if (told_ == status) return;
    told_ = status;
    writing_ = true;
    HealthCheckResponse response;
    response.set_status(status);
    writer_.Write(response, written_.Begin());
  }

  void Ask(void* tag) override {
    health_->service_.RequestWatch(context(), &request_, &writer_, queue()->grpc(), queue()->grpc(), tag);
  }
  QueuedCall* Another() const override { return new WatchCall(health_, queue()); }

  void Start() override {
    absl::MutexLock lock(&health_->mu_);
    health_->watchers_.insert(this);
    Advance();
  }
  void OnWritten(bool ok) {
    absl::MutexLock lock(&health_->mu_);
    writing_ = false;
    if (over_ || !ok) return End();
    Advance();
  }
  void Cancel() override {
    absl::MutexLock lock(&health_->mu_);
    over_ = true;
    if (!writing_) End();
  }
  void End() ABSL_EXCLUSIVE_LOCKS_REQUIRED(health_->mu_) {
    if (health_->watchers_.erase(this) == 0) return;  // it has ended
    writer_.Finish(grpc::Status::CANCELLED, answered());
  }

  Health* const health_;
  HealthCheckRequest request_;
  grpc::ServerAsyncWriter<HealthCheckResponse> writer_{context()};
  Event written_{this, static_cast<Event::Handler>(&WatchCall::OnWritten)};
  // Under the lock of health_.
  std::optional<Status> told_;
  bool writing_ = false;
  bool over_ = false;
};

Health::Health() = default;
Health::~Health() = default;

void Health::AwaitCalls(CallQueue* queue) {
  (new CheckCall(this, queue))->Await();
  (new WatchCall(this, queue))->Await();
}

void Health::Set(const std::string& name, bool serving) {
  absl::MutexLock lock(&mu_);
  statuses_[name] = serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
  for (WatchCall* watcher : watchers_) watcher->OnChange();
}

Health::Status Health::Get(const std::string& name) const {
  const auto found = statuses_.find(name);
  return found == statuses_.end() ? HealthCheckResponse::SERVICE_UNKNOWN : found->second;
}

}  // namespace heed
