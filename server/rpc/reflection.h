// grpc.reflection.v1alpha, on the queue of the other calls: gRPC 1.51's own service is a synchronous one, whose threads
// would poll beside ours. Of the files linked into this process.
//
// Thread-safe, but for AwaitCalls.
#pragma once

#include <string>
#include <vector>

#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/rpc/call_queue.h"

namespace heed {

class Reflection {
 public:
  // The full names of the services to list.
  explicit Reflection(std::vector<std::string> services) : services_(std::move(services)) {}

  // What is registered with gRPC.
  grpc::Service* service() { return &service_; }
  // Before the queue's start. It is there until the queue has stopped.
  void AwaitCalls(CallQueue* queue);

  // The answer to one question; what is not there is an error_response with NOT_FOUND.
  grpc::reflection::v1alpha::ServerReflectionResponse Answer(
      const grpc::reflection::v1alpha::ServerReflectionRequest& request) const;

 private:
  class InfoCall;

  grpc::reflection::v1alpha::ServerReflection::AsyncService service_;
  const std::vector<std::string> services_;
};

}  // namespace heed
