#include "client/bench/call.h"

#include <cstdint>
#include <string>
#include <utility>

#include "heed/v1/summarization.pb.h"
#include "heed/v1/translation.pb.h"

namespace heed::bench {
namespace {

template <typename Message>
bool Parse(grpc::ByteBuffer* bytes, Message* message) {
  grpc::Slice slice;
  return bytes->DumpToSingleSlice(&slice).ok() &&
         message->ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
}

std::int64_t TokensOf(const v1::TextResult& result) {
  std::int64_t tokens = 0;
  for (const v1::Segment& segment : result.output().segments()) {
    if (segment.hypotheses_size() > 0) tokens += segment.hypotheses(0).tokens_size();
  }
  return tokens;
}

template <typename Response>
class UnaryCall : public Call {
 public:
  UnaryCall(const Prepared& prepared, std::string method) : Call(prepared), method_(std::move(method)) {}

  void Start(grpc::GenericStub* stub, grpc::CompletionQueue* queue) override {
    reader_ = stub->PrepareUnaryCall(&context, method_, request_, queue);
    reader_->StartCall();
    reader_->Finish(&reply_, &status, Begin());
  }

 private:
  bool OnEvent(bool /*ok*/, absl::Duration now) override {
    outcome.ended = now;
    Response response;
    if (status.ok() && Parse(&reply_, &response)) {
      for (const v1::TextResult& result : response.results()) outcome.tokens += TokensOf(result);
    }
    return true;
  }

  const std::string method_;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader_;
  grpc::ByteBuffer reply_;
};

template <typename Response>
class StreamCall : public Call {
 public:
  StreamCall(const Prepared& prepared, std::string method) : Call(prepared), method_(std::move(method)) {}

  void Start(grpc::GenericStub* stub, grpc::CompletionQueue* queue) override {
    context.set_initial_metadata_corked(true);  // headers and request in one packet; nothing happens before the write
    stream_ = stub->PrepareCall(&context, method_, queue);
    stream_->StartCall(nullptr);
    stream_->WriteLast(request_, grpc::WriteOptions(), Begin());
  }

 private:
  bool OnEvent(bool ok, absl::Duration now) override {
    if (under_way_ == Operation::kFinish) {
      outcome.ended = now;
      return true;
    }
    if (under_way_ == Operation::kRead) {
      if (!ok) {  // the end of the stream
        under_way_ = Operation::kFinish;
        stream_->Finish(&status, Begin());
        return false;
      }
      OnResponse(now);
    }
    under_way_ = Operation::kRead;
    stream_->Read(&response_, Begin());
    return false;
  }

  enum class Operation { kWrite, kRead, kFinish };

  void OnResponse(absl::Duration now) {
    Response response;
    if (!Parse(&response_, &response)) return;
    const std::int64_t whole = TokensOf(response.event().result().result());
    const bool told = response.event().progress().tokens_size() > 0 || whole > 0;
    if (told && outcome.first == absl::ZeroDuration()) outcome.first = now;
    outcome.tokens += whole;
  }

  const std::string method_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  Operation under_way_ = Operation::kWrite;
  grpc::ByteBuffer response_;
};

}  // namespace

Call::Call(const Prepared& prepared) {
  const grpc::Slice slice(prepared.bytes);
  request_ = grpc::ByteBuffer(&slice, 1);
  outcome.rpc = prepared.rpc;
  outcome.batch = prepared.batch;
}

std::unique_ptr<Call> Call::Make(const Prepared& prepared) {
  switch (prepared.rpc) {
    case Rpc::kTranslate:
      return std::make_unique<UnaryCall<v1::TranslateResponse>>(prepared, "/heed.v1.TranslationService/Translate");
    case Rpc::kSummarize:
      return std::make_unique<UnaryCall<v1::SummarizeResponse>>(prepared, "/heed.v1.SummarizationService/Summarize");
    case Rpc::kStreamTranslate:
      return std::make_unique<StreamCall<v1::StreamTranslateResponse>>(prepared,
                                                                       "/heed.v1.TranslationService/StreamTranslate");
    case Rpc::kStreamSummarize:
      break;
  }
  return std::make_unique<StreamCall<v1::StreamSummarizeResponse>>(prepared,
                                                                   "/heed.v1.SummarizationService/StreamSummarize");
}

}  // namespace heed::bench
