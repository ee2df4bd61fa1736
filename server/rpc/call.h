// What every RPC has around it: a place in the gate, a request id, a deadline, a cancelled flag; and, exactly once at
// its end, a line in the log, a sample for the metrics and the gRPC status. UnaryCall and StreamCall (stream_call.cc)
// are gRPC's reactors around it.
//
// A call lives from its handler until gRPC's OnDone, which deletes it. Its parts run on whichever thread has the call
// at that moment; they never overlap. Cancel may run at any time and only sets a flag and nudges.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/lifecycle/core.h"

namespace heed {

class Call {
 public:
  Call(Rpc rpc, Core* core, grpc::CallbackServerContext* context);
  ~Call();

  Core* core() const { return core_; }
  absl::Time start() const { return start_; }
  absl::Time deadline() const { return deadline_; }
  const std::shared_ptr<std::atomic<bool>>& cancelled() const { return cancelled_; }
  // Filled in along the way.
  RequestSample& sample() { return sample_; }

  // A place in the gate, or why there is none.
  absl::Status Enter();
  // Not OK when there is no point in going on: CANCELLED or DEADLINE_EXCEEDED.
  absl::Status CheckAlive() const;
  // The end of the call: counted, logged, trailers added; what gRPC is to be told. Once.
  grpc::Status Close(absl::Status status);
  void Cancel();
  // After the call is destroyed with all that it holds: the server may go away when the gate is empty.
  static void Leave(Core* core, bool inside);
  bool inside() const { return inside_; }

 private:
  // gRPC ends a call at its client's deadline, whatever the client does. One whose client set none would stay for as
  // long as the client does not read its answer: this ends it at the server's default.
  class Expiry;

  void Record(const absl::Status& status) const;

  Core* const core_;
  grpc::CallbackServerContext* const context_;
  const absl::Time start_;
  const absl::Time deadline_;
  const std::string request_id_;
  const std::shared_ptr<std::atomic<bool>> cancelled_;
  std::unique_ptr<Expiry> expiry_;  // null: the client has a deadline
  bool inside_ = false;
  RequestSample sample_;
};

class UnaryCall : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(Rpc rpc, Core* core, grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
            grpc::ByteBuffer* reply);

  // Enters the gate and runs; a refusal finishes the call. The caller only returns the call to gRPC afterwards.
  void Start();

 protected:
  // Does the RPC's work, on this thread or others, and calls FinishWith once.
  virtual void Run() = 0;
  // The call's answer: `reply` where OK. The last thing that touches the call.
  void FinishWith(absl::Status status, const google::protobuf::Message* reply);

  Call& call() { return call_; }
  Core* core() const { return call_.core(); }
  const grpc::ByteBuffer& request() const { return *request_; }

 private:
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override;

  Call call_;
  const grpc::ByteBuffer* const request_;
  grpc::ByteBuffer* const reply_;
};

// The client's x-request-id if it is 1 to 64 of [A-Za-z0-9._-], else a fresh one.
std::string RequestId(const grpc::ServerContextBase& context);

}  // namespace heed
