// grpc.health.v1, on the queue of the other calls: gRPC 1.51's own service is one of its callback API, whose threads
// would poll beside ours.
//
// Check answers NOT_FOUND for a service that was never set; Watch tells SERVICE_UNKNOWN until it is, and goes on until
// its client ends it.
#pragma once

#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/rpc/call_queue.h"

namespace heed {

// Thread-safe, but for AwaitCalls.
class Health {
 public:
  Health();
  ~Health();

  // What is registered with gRPC.
  grpc::Service* service() { return &service_; }
  // Before the queue's start. It is there until the queue has stopped.
  void AwaitCalls(CallQueue* queue);

  // The empty name is the server as a whole.
  void Set(const std::string& name, bool serving);

 private:
  using Status = grpc::health::v1::HealthCheckResponse::ServingStatus;
  class CheckCall;
  class WatchCall;

  // SERVICE_UNKNOWN: never set.
  Status Get(const std::string& name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  grpc::health::v1::Health::AsyncService service_;
  absl::Mutex mu_;
  std::map<std::string, Status> statuses_ ABSL_GUARDED_BY(mu_);
  std::set<WatchCall*> watchers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace heed
