// The RPCs of heed.v1: a table, a row each (methods.cc). docs/adding-an-rpc.md says how to add one.
//
// One thread's, that of the queue once that has started.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "heed/v1/model.pb.h"
#include "server/rpc/call.h"

namespace heed {

// The services that the rows are of.
struct ServiceRow {
  const google::protobuf::ServiceDescriptor* service;
  // It serves where some model does that. TASK_UNSPECIFIED: always, and its messages are short questions.
  v1::Task task;
};
const std::vector<ServiceRow>& ServiceRows();

class Methods {
 public:
  static std::unique_ptr<Methods> Make();
  virtual ~Methods() = default;

  // For gRPC's server; they live as long as this.
  virtual std::vector<grpc::Service*> services() = 0;
  // Awaits the calls of all rows, one after another, until the server shuts down. Before the queue's start.
  virtual void AwaitCalls(const CallPlace& place) = 0;
};

}  // namespace heed
