#include "server/rpc/bridge.h"

#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"

namespace heed {
namespace {

constexpr absl::string_view kOurs = "heed-edge-";

grpc::ByteBuffer ToGrpc(std::unique_ptr<HeldBytes> message) {
  HeldBytes* const held = message.release();
  const grpc::Slice slice(
      held->data(), held->size(), [](void* user_data) { delete static_cast<HeldBytes*>(user_data); }, held);
  return grpc::ByteBuffer(&slice, 1);
}

AnswerBytes FromGrpc(const grpc::ByteBuffer& buffer) {
  auto slice = std::make_shared<grpc::Slice>();
  if (!buffer.TrySingleSlice(slice.get()).ok() && !buffer.DumpToSingleSlice(slice.get()).ok()) return {};
  return {absl::string_view(reinterpret_cast<const char*>(slice->begin()), slice->size()), slice};
}

void Fill(CallStart* start, grpc::ClientContext* context) {
  for (const auto& [name, value] : start->metadata) {
    if (!absl::StartsWith(name, kOurs)) context->AddMetadata(name, value);
  }
  context->AddMetadata(kPeerAddressKey, start->peer->address);
  if (!start->peer->identity.empty()) context->AddMetadata(kPeerIdentityKey, start->peer->identity);
  if (start->wants_gzip) context->AddMetadata(kWantsGzipKey, "1");
  if (start->deadline == absl::InfiniteFuture()) return;
  // The edge's times are its clock's, gRPC's are dates.
  const absl::Duration left = start->deadline - Clock::Real()->Now();
  context->set_deadline(absl::ToChronoTime(absl::Now() + left));
}

void TellEnd(const grpc::Status& status, const grpc::ClientContext& context, CallAnswer* answer) {
  Metadata trailers;
  for (const auto& [name, value] : context.GetServerTrailingMetadata()) {
    // gRPC's own, but for what clients are to do.
    if (absl::StartsWith(absl::string_view(name.data(), name.size()), "grpc-") && name != "grpc-retry-pushback-ms") {
      continue;
    }
    trailers.emplace_back(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  }
  answer->OnEnd(absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message()),
                status.error_details(), trailers);
}

bool IsGzip(const grpc::ClientContext& context) {
  const auto& metadata = context.GetServerInitialMetadata();
  return metadata.find(kIsGzipKey) != metadata.end();
}

// Owns itself: deleted when its one operation has ended.
class BridgedUnary : public BackendCall, public Completion {
 public:
  BridgedUnary(grpc::GenericStub* stub, CallQueue* queue, CallStart start, CallAnswer* answer) : answer_(answer) {
    Fill(&start, &context_);
    reader_ = stub->PrepareUnaryCall(&context_, *start.path, ToGrpc(std::move(start.message)), queue->grpc());
    reader_->StartCall();
    reader_->Finish(&reply_, &status_, static_cast<Completion*>(this));
  }

  void Give(std::unique_ptr<HeldBytes> /*message*/) override {}
  void GiveEnd() override {}
  void Drop() override {
    answer_ = nullptr;
    context_.TryCancel();
  }

  void Happen(bool /*ok*/) override {
    if (answer_ != nullptr) {
      if (status_.ok()) answer_->OnMessage(FromGrpc(reply_), IsGzip(context_));
    }
    if (answer_ != nullptr) TellEnd(status_, context_, answer_);
    delete this;
  }

 private:
  CallAnswer* answer_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader_;
  grpc::ByteBuffer reply_;
  grpc::Status status_;
};

// Owns itself: deleted when its last operation has ended.
class BridgedStream : public BackendCall {
 public:
  BridgedStream(grpc::GenericStub* stub, CallQueue* queue, CallStart start, CallAnswer* answer)
      : answer_(answer), bidi_(start.shape == Shape::kBidi) {
    Fill(&start, &context_);
    stream_ = stub->PrepareCall(&context_, *start.path, queue->grpc());
    if (start.message != nullptr) {
      next_ = ToGrpc(std::move(start.message));
      has_next_ = true;
      ended_ = true;
    }
    stream_->StartCall(started_.Begin());
  }

  void Give(std::unique_ptr<HeldBytes> message) override {
    next_ = ToGrpc(std::move(message));
    has_next_ = true;
    Advance();
  }
  void GiveEnd() override {
    ended_ = true;
    Advance();
  }
  void Drop() override {
    answer_ = nullptr;
    context_.TryCancel();
  }

 private:
  // An operation of the stream.
  class Step : public Completion {
   public:
    using Handler = void (BridgedStream::*)(bool ok);
    Step(BridgedStream* call, Handler handler) : call_(call), handler_(handler) {}
    void* Begin() {
      ++call_->under_way_;
      return static_cast<Completion*>(this);
    }
    void Happen(bool ok) override {
      BridgedStream* const call = call_;  // the handler may start another, and the last of them is the end
      (call->*handler_)(ok);
      if (--call->under_way_ == 0 && call->finished_) delete call;
    }

   private:
    BridgedStream* const call_;
    const Handler handler_;
  };

  void OnStarted(bool ok) {
    started_now_ = true;
    if (!ok) return Finish();
    stream_->Read(&reply_, read_.Begin());
    Advance();
  }

  // One write at a time.
  void Advance() {
    if (!started_now_ || writing_ || finishing_) return;
    if (has_next_) {
      has_next_ = false;
      writing_ = true;
      if (ended_ && !bidi_) {
        ended_ = false;  // told with it
        stream_->WriteLast(next_, grpc::WriteOptions(), written_.Begin());
      } else {
        stream_->Write(next_, written_.Begin());
      }
      next_.Clear();
    } else if (ended_) {
      ended_ = false;
      writing_ = true;
      stream_->WritesDone(written_.Begin());
    }
  }

  void OnWritten(bool ok) {
    writing_ = false;
    if (ok) Advance();
  }

  void OnRead(bool ok) {
    if (!ok) return Finish();
    if (answer_ != nullptr) answer_->OnMessage(FromGrpc(reply_), /*gzip=*/false);
    reply_.Clear();
    // An answer to each question, so this one was read.
    if (answer_ != nullptr && bidi_) answer_->OnTaken();
    stream_->Read(&reply_, read_.Begin());
  }

  void Finish() {
    if (std::exchange(finishing_, true)) return;
    stream_->Finish(&status_, finish_.Begin());
  }

  void OnFinished(bool /*ok*/) {
    finished_ = true;
    if (answer_ != nullptr) TellEnd(status_, context_, std::exchange(answer_, nullptr));
  }

  CallAnswer* answer_;
  const bool bidi_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> stream_;
  Step started_{this, &BridgedStream::OnStarted};
  Step written_{this, &BridgedStream::OnWritten};
  Step read_{this, &BridgedStream::OnRead};
  Step finish_{this, &BridgedStream::OnFinished};
  int under_way_ = 0;  // operations
  grpc::ByteBuffer next_;
  grpc::ByteBuffer reply_;
  grpc::Status status_;
  bool has_next_ = false;
  bool ended_ = false;  // the client's messages; not told yet
  bool started_now_ = false;
  bool writing_ = false;
  bool finishing_ = false;
  bool finished_ = false;
};

class Bridge : public Backend {
 public:
  Bridge(std::shared_ptr<grpc::Channel> channel, CallQueue* queue) : stub_(std::move(channel)), queue_(queue) {}

  BackendCall* Start(CallStart start, CallAnswer* answer) override {
    if (start.shape == Shape::kUnary) return new BridgedUnary(&stub_, queue_, std::move(start), answer);
    return new BridgedStream(&stub_, queue_, std::move(start), answer);
  }

 private:
  grpc::GenericStub stub_;
  CallQueue* const queue_;
};

}  // namespace

std::unique_ptr<Backend> MakeBridge(std::shared_ptr<grpc::Channel> channel, CallQueue* queue) {
  return std::make_unique<Bridge>(std::move(channel), queue);
}

}  // namespace heed
