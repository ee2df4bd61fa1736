// A call for texts with one answer, of these messages: parsed for the pipeline, its results serialised as they come.
#pragma once

#include <utility>

#include "engine/base/status_macros.h"
#include "server/rpc/call.h"
#include "server/rpc/message.h"
#include "server/serving/text_request.h"

namespace heed {

// A request for texts in the bytes of a message of this type, which the source takes once it parses them.
template <typename Request>
TextSource SourceOf(Rpc rpc, v1::Task task, std::int64_t max_fields, grpc::ByteBuffer* bytes) {
  TextSource source;
  source.rpc = rpc;
  source.bytes = static_cast<std::int64_t>(bytes->Length());
  source.priority = [=] { return PeekPriority(*bytes, max_fields, *Request::descriptor()); };
  source.parse = [=]() -> absl::StatusOr<TextRequest> {
    Request message;
    HEED_RETURN_IF_ERROR(ParseMessage(*bytes, max_fields, &message));
    bytes->Clear();
    return ToTextRequest(task, &message);
  };
  return source;
}

template <typename Request, typename Response>
class TextCall : public UnaryCall, private UnarySink {
 public:
  TextCall(const CallPlace& place, Rpc rpc, v1::Task task, const AskUnary& ask)
      : UnaryCall(place, ask), rpc_(rpc), task_(task) {}

 private:
  QueuedCall* Another() const override { return new TextCall(place(), rpc_, task_, ask()); }
  void Start() override {
    pipeline().Submit(SourceOf<Request>(rpc_, task_, place().max_fields, &request()), MakeContext(), this);
  }

  absl::Status Add(const v1::TextResult& result) override { return reply().Add(Response::kResultsFieldNumber, result); }
  absl::Status Add(const v1::ModelIdentity& model) override { return reply().Add(Response::kModelFieldNumber, model); }
  bool PrepareSome() override { return wants_gzip() && reply().GzipSome(); }
  void End(absl::Status status, Receipt receipt) override { Finish(status, std::move(receipt)); }

  const Rpc rpc_;
  const v1::Task task_;
};

}  // namespace heed
