// grpc.reflection.v1 and v1alpha, whose messages are the same, on the queues of the other calls. Of the files linked
// into this process.
//
// Reflection is thread-safe; a ReflectionService is its queue's.
#pragma once

#include <string>
#include <vector>

#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/rpc/call_queue.h"

namespace heed {

class Reflection {
 public:
  // The full names of the services to list.
  explicit Reflection(std::vector<std::string> services) : services_(std::move(services)) {}

  // The answer to one question; what is not there is an error_response with NOT_FOUND.
  grpc::reflection::v1::ServerReflectionResponse Answer(
      const grpc::reflection::v1::ServerReflectionRequest& request) const;

 private:
  const std::vector<std::string> services_;
};

// The services on one queue, before whose start AwaitCalls is. Both outlive it.
class ReflectionService {
 public:
  ReflectionService(const Reflection* reflection, CallQueue* queue) : reflection_(reflection), queue_(queue) {}

  // What is registered with gRPC.
  std::vector<grpc::Service*> services() { return {&v1_, &v1alpha_}; }
  void AwaitCalls();

 private:
  using V1 = grpc::reflection::v1::ServerReflection::WithRawMethod_ServerReflectionInfo<
      grpc::reflection::v1::ServerReflection::Service>;
  using V1Alpha = grpc::reflection::v1alpha::ServerReflection::WithRawMethod_ServerReflectionInfo<
      grpc::reflection::v1alpha::ServerReflection::Service>;
  template <typename Service>
  class InfoCall;

  const Reflection* const reflection_;
  CallQueue* const queue_;
  V1 v1_;
  V1Alpha v1alpha_;
};

}  // namespace heed
