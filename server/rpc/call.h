// What every RPC of heed.v1 has around it: a place in the gate, a request id, a deadline, a cancelled flag; and,
// exactly once at its end, a line in the log, a sample for the metrics and the gRPC status. UnaryCall adds the one
// answer, StreamCall (stream_call.cc) a row of them.
//
// Its parts run on whichever thread has the call at that moment; they never overlap. gRPC is told on the queue's
// thread. Cancel may run at any time and only sets a flag and nudges.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/lifecycle/core.h"
#include "server/rpc/call_queue.h"
#include "server/rpc/reply_bytes.h"

namespace heed {

// How gRPC is asked for the next call of a method: its service's RequestX, in raw form.
template <typename Writer>
using AskFor = std::function<void(grpc::ServerContext* context, grpc::ByteBuffer* request, Writer* writer,
                                  grpc::ServerCompletionQueue* queue, void* tag)>;
using AskUnary = AskFor<grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>>;
using AskStream = AskFor<grpc::ServerAsyncWriter<grpc::ByteBuffer>>;

class Call : public QueuedCall {
 public:
  Core* core() const { return core_; }
  absl::Time start() const { return start_; }
  absl::Time deadline() const { return deadline_; }
  const std::shared_ptr<std::atomic<bool>>& cancelled() const { return cancelled_; }
  // Filled in along the way.
  RequestSample& sample() { return sample_; }

  // Who calls: the address of the connection, or the one that its PROXY header gave; the name that its certificate
  // gives, empty where it showed none.
  std::string peer_address() const;
  std::string identity() const;
  // Its client would take a compressed answer, and sent its request that way.
  bool wants_gzip() const;

  // Not OK when there is no point in going on: CANCELLED or DEADLINE_EXCEEDED.
  absl::Status CheckAlive() const;
  void Cancel() override;

 protected:
  // `core` and `queue` outlive it.
  Call(Rpc rpc, Core* core, CallQueue* queue) : QueuedCall(queue), core_(core) { sample_.rpc = rpc; }
  // After what derived classes hold is destroyed: the gate is empty when nothing of any call is left.
  ~Call() override;

  Rpc rpc() const { return sample_.rpc; }

  // Does the RPC's work, on this thread or others, and answers once.
  virtual void Run() = 0;
  // Answers without a reply, before Run.
  virtual void Refuse(absl::Status status) = 0;
  // The end of the call: counted, trailers added; what gRPC is to be told. Once. Its line in the log is written when
  // the answer is sent, which it would keep waiting.
  grpc::Status Close(absl::Status status);

 private:
  void Start() final;
  // A place in the gate, or why there is none.
  absl::Status Enter();
  void WriteLog(const absl::Status& status) const;

  Core* const core_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  // Of the call that came.
  absl::Time start_;
  absl::Time deadline_;
  std::string request_id_;
  bool inside_ = false;
  RequestSample sample_;
  std::optional<absl::Status> closed_;  // with this
};

class UnaryCall : public Call {
 protected:
  UnaryCall(Rpc rpc, Core* core, CallQueue* queue, const AskUnary* ask) : Call(rpc, core, queue), ask_(ask) {}

  // The call's answer: `reply` where OK. The last thing that touches the call.
  void FinishWith(absl::Status status, const google::protobuf::Message* reply);
  // The same of a reply that has been serialised.
  void FinishWithBytes(absl::Status status, ReplyBytes reply);

  grpc::ByteBuffer& request() { return request_; }
  const AskUnary* ask() const { return ask_; }

 private:
  void Ask(void* tag) final { (*ask_)(context(), &request_, &writer_, queue()->grpc(), tag); }
  void Refuse(absl::Status status) final { FinishWith(std::move(status), nullptr); }

  // With reply_.
  void Finish(absl::Status status);

  const AskUnary* const ask_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer reply_;
  grpc::Status told_;
  grpc::ServerAsyncResponseWriter<grpc::ByteBuffer> writer_{context()};
};

// The client's x-request-id if it is 1 to 64 of [A-Za-z0-9._-], else a fresh one.
std::string RequestId(const grpc::ServerContextBase& context);

}  // namespace heed
