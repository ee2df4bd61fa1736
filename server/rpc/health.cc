#include "server/rpc/health.h"

#include <algorithm>
#include <optional>

#include "server/rpc/message.h"
#include "server/rpc/status.h"

namespace heed {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// Services' names are shorter. A longer one is of no service, and not kept.
constexpr std::size_t kMaxName = 256;

absl::Status ParseName(const grpc::ByteBuffer& bytes, std::string* name) {
  HealthCheckRequest request;
  absl::Status status = ParseMessage(bytes, kFewFields, &request);
  *name = request.service().size() <= kMaxName ? std::move(*request.mutable_service()) : "(too long)";
  return status;
}

grpc::ByteBuffer Message(Health::Status status) {
  HealthCheckResponse response;
  response.set_status(status);
  grpc::ByteBuffer bytes;
  SerializeMessage(response, &bytes).IgnoreError();  // two bytes
  return bytes;
}

}  // namespace

class HealthService::CheckCall : public QueuedCall {
 public:
  explicit CheckCall(HealthService* service) : QueuedCall(service->queue_), service_(service) {}

 private:
  void Ask(void* tag) override {
    service_->service_.RequestCheck(context(), &request_, &writer_, queue()->grpc(), queue()->grpc(), tag);
  }
  QueuedCall* Another() const override { return new CheckCall(service_); }

  void Start() override {
    std::string name;
    if (const absl::Status status = ParseName(request_, &name); !status.ok()) {
      return writer_.FinishWithError(ToGrpcStatus(status), answered());
    }
    const Health::Status status = service_->health_->Get(name);
    if (status == HealthCheckResponse::SERVICE_UNKNOWN) {
      writer_.FinishWithError({grpc::StatusCode::NOT_FOUND, "service name unknown"}, answered());
    } else {
      writer_.Finish(Message(status), grpc::Status::OK, answered());
    }
  }
  void Cancel() override {}

  HealthService* const service_;
  grpc::ByteBuffer request_;
  grpc::ServerAsyncResponseWriter<grpc::ByteBuffer> writer_{context()};
};

class HealthService::WatchCall : public QueuedCall {
 public:
  explicit WatchCall(HealthService* service) : QueuedCall(service->queue_), service_(service) {}

  // Tells the status if it is another than the client knows. One write at a time: statuses that change meanwhile
  // become one.
  void Advance() {
    if (writing_) return;
    const Health::Status status = service_->health_->Get(name_);
    if (told_ == status) return;
    told_ = status;
    writing_ = true;
    writer_.Write(Message(status), written_.Begin());
  }

 private:
  void Ask(void* tag) override {
    service_->service_.RequestWatch(context(), &request_, &writer_, queue()->grpc(), queue()->grpc(), tag);
  }
  QueuedCall* Another() const override { return new WatchCall(service_); }

  void Start() override {
    if (const absl::Status status = ParseName(request_, &name_); !status.ok()) {
      return writer_.Finish(ToGrpcStatus(status), answered());
    }
    request_.Clear();
    service_->watchers_.insert(this);
    Advance();
  }
  void OnWritten(bool ok) {
    writing_ = false;
    if (over_ || !ok) return End();
    Advance();
  }
  void Cancel() override {
    over_ = true;
    if (!writing_) End();
  }
  void End() {
    if (service_->watchers_.erase(this) == 0) return;  // it has ended
    writer_.Finish(grpc::Status::CANCELLED, answered());
  }

  HealthService* const service_;
  grpc::ByteBuffer request_;
  std::string name_;
  grpc::ServerAsyncWriter<grpc::ByteBuffer> writer_{context()};
  Event written_{this, static_cast<Event::Handler>(&WatchCall::OnWritten)};
  std::optional<Health::Status> told_;
  bool writing_ = false;
  bool over_ = false;
};

HealthService::HealthService(Health* health, CallQueue* queue) : health_(health), queue_(queue) {
  absl::MutexLock lock(&health_->mu_);
  health_->services_.push_back(this);
}

HealthService::~HealthService() {
  absl::MutexLock lock(&health_->mu_);
  health_->services_.erase(std::find(health_->services_.begin(), health_->services_.end(), this));
}

void HealthService::AwaitCalls() {
  (new CheckCall(this))->Await();
  (new WatchCall(this))->Await();
}

void HealthService::TellWatchers() {
  for (WatchCall* watcher : watchers_) watcher->Advance();
}

void Health::Set(const std::string& name, bool serving) {
  absl::MutexLock lock(&mu_);
  statuses_[name] = serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
  for (HealthService* service : services_) service->queue_->Submit([service] { service->TellWatchers(); });
}

Health::Status Health::Get(absl::string_view name) const {
  absl::MutexLock lock(&mu_);
  const auto found = statuses_.find(name);
  return found == statuses_.end() ? HealthCheckResponse::SERVICE_UNKNOWN : found->second;
}

}  // namespace heed
