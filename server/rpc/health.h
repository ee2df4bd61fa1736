// grpc.health.v1, on the queues of the other calls.
//
// Check answers NOT_FOUND for a service that was never set; Watch tells SERVICE_UNKNOWN of it, and goes on until its
// client ends it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/rpc/call_queue.h"

namespace heed {

class HealthService;

// What is serving. Thread-safe.
class Health {
 public:
  using Status = grpc::health::v1::HealthCheckResponse::ServingStatus;

  // The empty name is the server as a whole.
  void Set(const std::string& name, bool serving);
  // SERVICE_UNKNOWN: never set.
  Status Get(absl::string_view name) const;

 private:
  friend class HealthService;
  mutable absl::Mutex mu_;
  std::map<std::string, Status, std::less<>> statuses_ ABSL_GUARDED_BY(mu_);
  std::vector<HealthService*> services_ ABSL_GUARDED_BY(mu_);
};

// The service on one queue. AwaitCalls and destruction belong to the queue's owner, while it does not run; the rest to
// the queue's thread.
class HealthService {
 public:
  // Both outlive it.
  HealthService(Health* health, CallQueue* queue);
  ~HealthService();

  // What is registered with gRPC.
  grpc::Service* service() { return &service_; }
  void AwaitCalls();

 private:
  friend class Health;
  class CheckCall;
  class WatchCall;
  using Service = grpc::health::v1::Health::WithRawMethod_Check<
      grpc::health::v1::Health::WithRawMethod_Watch<grpc::health::v1::Health::Service>>;

  // Tells those that watch what has changed.
  void TellWatchers();

  Health* const health_;
  CallQueue* const queue_;
  Service service_;
  std::set<WatchCall*> watchers_;
};

}  // namespace heed
