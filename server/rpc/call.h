// A call of heed.v1 as gRPC has it: what it says of who asks, and the way to tell its end. What it asks for is the
// pipeline's (server/serving/pipeline.h), whose sink it is: UnaryCall has one answer, StreamCall (stream_call.h) a row
// of them.
//
// The sink's functions run on whichever thread has the request; gRPC is told on the queue's thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/rpc/call_queue.h"
#include "server/rpc/reply_bytes.h"
#include "server/serving/pipeline.h"

namespace heed {

// How gRPC is asked for the next call of a method: its service's RequestX, in raw form.
template <typename Writer>
using AskFor = std::function<void(grpc::ServerContext* context, grpc::ByteBuffer* request, Writer* writer,
                                  grpc::ServerCompletionQueue* queue, void* tag)>;
using AskUnary = AskFor<grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>>;
using AskStream = AskFor<grpc::ServerAsyncWriter<grpc::ByteBuffer>>;

// What all calls of a queue share; outlives them.
struct CallPlace {
  CallQueue* queue = nullptr;
  const Pipeline* pipeline = nullptr;
  std::int64_t max_fields = 0;  // of a request's message (message.h)
};

class Call : public QueuedCall {
 public:
  // Who calls: the address of the connection, or the one that its PROXY header gave; the name that its certificate
  // gives, empty where it showed none.
  std::string peer_address() const;
  std::string identity() const;

 protected:
  explicit Call(const CallPlace& place) : QueuedCall(place.queue), place_(place) {}

  const CallPlace& place() const { return place_; }
  const Pipeline& pipeline() const { return *place_.pipeline; }
  // Its client would take a compressed answer, and sent its request that way.
  bool wants_gzip() const;
  // For the pipeline; once, when the call has come.
  RequestContext MakeContext();
  // The end of the request: trailers added; what gRPC is to be told. Once.
  grpc::Status Close(const absl::Status& status, Receipt receipt);

 private:
  void Cancel() final { pipeline().Cancel(cancelled_.get()); }

  const CallPlace place_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::string request_id_;
  Receipt receipt_;  // given back after all that derived classes hold
};

// Its derived classes are the rows' (text_call.h, query_call.h).
class UnaryCall : public Call {
 protected:
  UnaryCall(const CallPlace& place, const AskUnary& ask) : Call(place), ask_(ask) {}

  const AskUnary& ask() const { return ask_; }
  grpc::ByteBuffer& request() { return request_; }
  ReplyBytes& reply() { return reply_; }
  // Answers with reply() where OK. The last thing that touches the call.
  void Finish(const absl::Status& status, Receipt receipt);

 private:
  void Ask(void* tag) final { ask_(context(), &request_, &writer_, queue()->grpc(), tag); }

  const AskUnary ask_;
  grpc::ByteBuffer request_;
  ReplyBytes reply_;
  grpc::ByteBuffer told_;
  grpc::Status status_;
  grpc::ServerAsyncResponseWriter<grpc::ByteBuffer> writer_{context()};
};

}  // namespace heed
