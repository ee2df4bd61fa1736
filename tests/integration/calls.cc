#include "tests/integration/calls.h"

#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "heed/v1/model.grpc.pb.h"
#include "heed/v1/summarization.grpc.pb.h"
#include "heed/v1/translation.grpc.pb.h"

namespace heed {
namespace {

using grpc::health::v1::HealthCheckResponse;

void SetDeadline(grpc::ClientContext* context, absl::Duration timeout) {
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

void Fill(const grpc::Status& status, const grpc::ClientContext& context, Answer* answer) {
  answer->code = static_cast<absl::StatusCode>(status.error_code());
  answer->message = status.error_message();
  answer->details = status.error_details();
  for (const auto& [key, value] : context.GetServerTrailingMetadata()) {
    answer->trailers.emplace(std::string(key.data(), key.size()), std::string(value.data(), value.size()));
  }
}

// One call, waited for.
template <typename Response, typename Call>
AnswerOf<Response> Block(absl::Duration timeout, const Call& call) {
  grpc::ClientContext context;
  SetDeadline(&context, timeout);
  AnswerOf<Response> answer;
  const grpc::Status status = call(&context, &answer.response);
  Fill(status, context, &answer);
  return answer;
}

class PendingTranslateCall : public PendingTranslate {
 public:
  PendingTranslateCall(v1::TranslationService::Stub* stub, const v1::TranslateRequest& request,
                       absl::Duration timeout) {
    SetDeadline(&context_, timeout);
    // A thread in a blocking call, for a call on a completion queue gets nowhere until somebody polls the queue.
    thread_ = std::thread([this, stub, request] { status_ = stub->Translate(&context_, request, &answer_.response); });
  }
  ~PendingTranslateCall() override {
    Cancel();
    Wait();
  }

  void Cancel() override { context_.TryCancel(); }

  const TranslateAnswer& Wait() override {
    if (thread_.joinable()) {
      thread_.join();
      Fill(status_, context_, &answer_);
    }
    return answer_;
  }

 private:
  grpc::ClientContext context_;
  grpc::Status status_;
  TranslateAnswer answer_;
  std::thread thread_;
};

class PendingStreamCall : public PendingStream {
 public:
  PendingStreamCall(v1::TranslationService::Stub* stub, const v1::TranslateRequest& request, absl::Duration timeout) {
    SetDeadline(&context_, timeout);
    v1::StreamTranslateRequest stream;
    *stream.mutable_request() = request;
    reader_ = stub->StreamTranslate(&context_, stream);
  }
  ~PendingStreamCall() override {
    Cancel();
    Wait();
  }

  bool Read(v1::StreamEvent* event) override {
    v1::StreamTranslateResponse response;
    if (over_ || !reader_->Read(&response)) return false;
    *event = std::move(*response.mutable_event());
    return true;
  }

  void Cancel() override { context_.TryCancel(); }

  const Answer& Wait() override {
    v1::StreamEvent event;
    while (Read(&event)) {
    }
    if (!std::exchange(over_, true)) Fill(reader_->Finish(), context_, &answer_);
    return answer_;
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::StreamTranslateResponse>> reader_;
  bool over_ = false;
  Answer answer_;
};

class HealthWatchCall : public HealthWatch {
 public:
  explicit HealthWatchCall(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(grpc::health::v1::Health::NewStub(channel)) {
    SetDeadline(&context_, kLongest);
    stream_ = stub_->Watch(&context_, {});
  }
  ~HealthWatchCall() override {
    context_.TryCancel();
    HealthCheckResponse response;
    while (stream_->Read(&response)) {
    }
    (void)stream_->Finish();
  }

  std::string Next() override {
    HealthCheckResponse response;
    return stream_->Read(&response) ? HealthCheckResponse::ServingStatus_Name(response.status()) : "";
  }

 private:
  std::unique_ptr<grpc::health::v1::Health::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> stream_;
};

// The byte strings in field `number` of a serialised message. Debian has the reflection service but not its protos, and
// a list of names needs no more than this.
std::vector<std::string> BytesFields(const std::string& message, int number) {
  google::protobuf::UnknownFieldSet fields;
  std::vector<std::string> found;
  if (!fields.ParseFromString(message)) return found;
  for (int i = 0; i < fields.field_count(); ++i) {
    const google::protobuf::UnknownField& field = fields.field(i);
    if (field.number() == number && field.type() == field.TYPE_LENGTH_DELIMITED) {
      found.push_back(field.length_delimited());
    }
  }
  return found;
}

// Waits for the one operation under way on the queue.
void Step(grpc::CompletionQueue* queue) {
  void* tag = nullptr;
  bool ok = false;
  queue->Next(&tag, &ok);
}

}  // namespace

struct Caller::Connection {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::TranslationService::Stub> translation;
  std::unique_ptr<v1::SummarizationService::Stub> summarization;
  std::unique_ptr<v1::ModelService::Stub> models;
};

Caller::Caller(int port, int max_receive_bytes) : connection_(std::make_unique<Connection>()) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (max_receive_bytes > 0) arguments.SetMaxReceiveMessageSize(max_receive_bytes);
  connection_->channel =
      grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials(), arguments);
  connection_->translation = v1::TranslationService::NewStub(connection_->channel);
  connection_->summarization = v1::SummarizationService::NewStub(connection_->channel);
  connection_->models = v1::ModelService::NewStub(connection_->channel);
}

Caller::~Caller() = default;

bool Caller::Connect() { return connection_->channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kLongest)); }

TranslateAnswer Caller::Translate(const v1::TranslateRequest& request, absl::Duration timeout) {
  return Block<v1::TranslateResponse>(timeout, [&](auto* context, auto* response) {
    return connection_->translation->Translate(context, request, response);
  });
}

std::unique_ptr<PendingTranslate> Caller::StartTranslate(const v1::TranslateRequest& request, absl::Duration timeout) {
  return std::make_unique<PendingTranslateCall>(connection_->translation.get(), request, timeout);
}

std::unique_ptr<PendingStream> Caller::StreamTranslate(const v1::TranslateRequest& request, absl::Duration timeout) {
  return std::make_unique<PendingStreamCall>(connection_->translation.get(), request, timeout);
}

AnswerOf<v1::SummarizeResponse> Caller::Summarize(const v1::SummarizeRequest& request) {
  return Block<v1::SummarizeResponse>(kLongest, [&](auto* context, auto* response) {
    return connection_->summarization->Summarize(context, request, response);
  });
}

AnswerOf<v1::ListModelsResponse> Caller::ListModels() {
  return Block<v1::ListModelsResponse>(
      kLongest, [&](auto* context, auto* response) { return connection_->models->ListModels(context, {}, response); });
}

AnswerOf<v1::GetModelResponse> Caller::GetModel(const v1::GetModelRequest& request) {
  return Block<v1::GetModelResponse>(kLongest, [&](auto* context, auto* response) {
    return connection_->models->GetModel(context, request, response);
  });
}

Answer Caller::SendBytes(const std::string& method, const std::string& bytes) {
  grpc::ClientContext context;
  SetDeadline(&context, kLongest);
  grpc::CompletionQueue queue;
  grpc::Slice slice(bytes);
  auto call =
      grpc::GenericStub(connection_->channel).PrepareUnaryCall(&context, method, grpc::ByteBuffer(&slice, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer reply;
  grpc::Status status;
  call->Finish(&reply, &status, nullptr);
  Step(&queue);
  Answer answer;
  Fill(status, context, &answer);
  return answer;
}

std::string Caller::Health(const std::string& service) {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  const auto answer = Block<HealthCheckResponse>(kLongest, [&](auto* context, auto* response) {
    return grpc::health::v1::Health::NewStub(connection_->channel)->Check(context, request, response);
  });
  return answer.ok() ? HealthCheckResponse::ServingStatus_Name(answer.response.status()) : answer.ToString();
}

std::unique_ptr<HealthWatch> Caller::WatchHealth() { return std::make_unique<HealthWatchCall>(connection_->channel); }

std::vector<std::string> Caller::ReflectedServices(const std::string& version) {
  grpc::ClientContext context;
  SetDeadline(&context, kLongest);
  grpc::CompletionQueue queue;
  auto call =
      grpc::GenericStub(connection_->channel)
          .PrepareCall(&context, absl::StrCat("/grpc.reflection.", version, ".ServerReflection/ServerReflectionInfo"),
                       &queue);
  call->StartCall(nullptr);
  Step(&queue);
  // ServerReflectionRequest{list_services: "*"}.
  grpc::Slice slice("\x3a\x01*");
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  Step(&queue);
  grpc::ByteBuffer reply;
  call->Read(&reply, nullptr);
  Step(&queue);
  grpc::Status status;
  call->Finish(&status, nullptr);
  Step(&queue);
  grpc::Slice whole;
  if (!reply.DumpToSingleSlice(&whole).ok()) return {};
  const std::string message(reinterpret_cast<const char*>(whole.begin()), whole.size());
  std::vector<std::string> names;
  // ServerReflectionResponse.list_services_response (6), its services (1), their names (1).
  for (const std::string& list : BytesFields(message, 6)) {
    for (const std::string& service : BytesFields(list, 1)) {
      for (const std::string& name : BytesFields(service, 1)) names.push_back(name);
    }
  }
  return names;
}

std::string Answer::ToString() const { return absl::StrCat(absl::StatusCodeToString(code), ": ", message); }

v1::TranslateRequest TranslateTexts(const std::vector<std::string>& texts, const std::string& model) {
  v1::TranslateRequest request;
  if (!model.empty()) request.mutable_model()->set_name(model);
  for (const std::string& text : texts) request.add_texts(text);
  return request;
}

}  // namespace heed
