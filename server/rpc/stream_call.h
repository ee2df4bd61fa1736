// A call for texts whose answer is streamed, of these messages. gRPC has one write of ours at a time; the pipeline adds
// events and asks for the next write when the last one has ended.
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "engine/base/status_macros.h"
#include "server/rpc/reply_bytes.h"
#include "server/rpc/text_call.h"

namespace heed {

template <typename Request, typename Response>
class StreamCall : public Call, private StreamSink {
 public:
  StreamCall(const CallPlace& place, Rpc rpc, v1::Task task, const AskStream& ask)
      : Call(place), rpc_(rpc), task_(task), ask_(ask) {}

 private:
  void Ask(void* tag) override { ask_(context(), &request_, &writer_, queue()->grpc(), tag); }
  QueuedCall* Another() const override { return new StreamCall(place(), rpc_, task_, ask_); }
  void Start() override {
    pipeline().Submit(SourceOf<Request>(rpc_, task_, place().max_fields, &request_), MakeContext(), this);
  }

  absl::Status Add(const v1::StreamEvent& event) override {
    ReplyBytes bytes;
    HEED_RETURN_IF_ERROR(bytes.Add(Response::kEventFieldNumber, event));
    out_.push_back(bytes.Take());
    return absl::OkStatus();
  }
  void Write(std::function<void(bool ok)> written) override {
    on_written_ = std::move(written);
    WriteNext();
  }
  void WriteNext() {
    queue()->Run([this] { writer_.Write(out_.front(), written_.Begin()); });
  }
  void OnWritten(bool ok) {
    out_.pop_front();
    if (!ok) out_.clear();
    if (!out_.empty()) return WriteNext();
    std::exchange(on_written_, nullptr)(ok);
  }
  void End(absl::Status status, Receipt receipt) override {
    out_.clear();
    status_ = Close(status, std::move(receipt));
    queue()->Run([this] { writer_.Finish(status_, answered()); });
  }

  const Rpc rpc_;
  const v1::Task task_;
  const AskStream ask_;
  grpc::ByteBuffer request_;
  std::deque<grpc::ByteBuffer> out_;
  std::function<void(bool ok)> on_written_;
  grpc::Status status_;
  grpc::ServerAsyncWriter<grpc::ByteBuffer> writer_{context()};
  Event written_{this, static_cast<Event::Handler>(&StreamCall::OnWritten)};
};

}  // namespace heed
