#include "server/rpc/reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>
#include <utility>

#include "server/rpc/message.h"
#include "server/rpc/status.h"

namespace heed {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;

void SetNotFound(const std::string& what, ServerReflectionResponse* response) {
  response->mutable_error_response()->set_error_code(grpc::StatusCode::NOT_FOUND);
  response->mutable_error_response()->set_error_message(what);
}

// The file and, once each, all that it imports.
void AddFiles(const FileDescriptor& file, std::set<const FileDescriptor*>* added, ServerReflectionResponse* response) {
  if (!added->insert(&file).second) return;
  google::protobuf::FileDescriptorProto proto;
  file.CopyTo(&proto);
  response->mutable_file_descriptor_response()->add_file_descriptor_proto(proto.SerializeAsString());
  for (int i = 0; i < file.dependency_count(); ++i) AddFiles(*file.dependency(i), added, response);
}

void SetFile(const FileDescriptor* file, ServerReflectionResponse* response) {
  std::set<const FileDescriptor*> added;
  if (file == nullptr) return SetNotFound("no file declares it", response);
  AddFiles(*file, &added, response);
}

void SetExtensionNumbers(const std::string& type, ServerReflectionResponse* response) {
  const DescriptorPool* const pool = DescriptorPool::generated_pool();
  const google::protobuf::Descriptor* const message = pool->FindMessageTypeByName(type);
  if (message == nullptr) return SetNotFound("no such message type", response);
  auto* const numbers = response->mutable_all_extension_numbers_response();
  numbers->set_base_type_name(type);
  std::vector<const FieldDescriptor*> extensions;
  pool->FindAllExtensions(message, &extensions);
  for (const FieldDescriptor* extension : extensions) numbers->add_extension_number(extension->number());
}

const FileDescriptor* FileOfExtension(const grpc::reflection::v1::ExtensionRequest& request) {
  const DescriptorPool* const pool = DescriptorPool::generated_pool();
  const google::protobuf::Descriptor* const message = pool->FindMessageTypeByName(request.containing_type());
  if (message == nullptr) return nullptr;
  const FieldDescriptor* const extension = pool->FindExtensionByNumber(message, request.extension_number());
  return extension == nullptr ? nullptr : extension->file();
}

}  // namespace

ServerReflectionResponse Reflection::Answer(const ServerReflectionRequest& request) const {
  const DescriptorPool* const pool = DescriptorPool::generated_pool();
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      SetFile(pool->FindFileByName(request.file_by_filename()), &response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      SetFile(pool->FindFileContainingSymbol(request.file_containing_symbol()), &response);
      break;
    case ServerReflectionRequest::kFileContainingExtension:
      SetFile(FileOfExtension(request.file_containing_extension()), &response);
      break;
    case ServerReflectionRequest::kAllExtensionNumbersOfType:
      SetExtensionNumbers(request.all_extension_numbers_of_type(), &response);
      break;
    case ServerReflectionRequest::kListServices:
      for (const std::string& name : services_) {
        response.mutable_list_services_response()->add_service()->set_name(name);
      }
      break;
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      response.mutable_error_response()->set_error_code(grpc::StatusCode::INVALID_ARGUMENT);
      response.mutable_error_response()->set_error_message("the request asks nothing");
      break;
  }
  return response;
}

// Reads a question, writes its answer, and so on; one operation at a time.
template <typename Service>
class ReflectionService::InfoCall : public QueuedCall {
 public:
  InfoCall(ReflectionService* all, Service* service) : QueuedCall(all->queue_), all_(all), service_(service) {}

 private:
  void Ask(void* tag) override {
    service_->RequestServerReflectionInfo(context(), &stream_, queue()->grpc(), queue()->grpc(), tag);
  }
  QueuedCall* Another() const override { return new InfoCall(all_, service_); }

  void Start() override { stream_.Read(&question_, read_.Begin()); }
  void OnRead(bool ok) {
    if (!ok) return stream_.Finish(grpc::Status::OK, answered());  // no more questions, or the client is gone
    ServerReflectionRequest request;
    grpc::ByteBuffer answer;
    absl::Status status = ParseMessage(question_, kFewFields, &request);
    question_.Clear();
    if (status.ok()) status = SerializeMessage(all_->reflection_->Answer(request), &answer);
    if (!status.ok()) return stream_.Finish(ToGrpcStatus(status), answered());
    stream_.Write(answer, written_.Begin());
  }
  void OnWritten(bool ok) {
    if (!ok) return stream_.Finish(grpc::Status::CANCELLED, answered());
    stream_.Read(&question_, read_.Begin());
  }
  void Cancel() override {}  // the operation under way ends without success

  ReflectionService* const all_;
  Service* const service_;
  grpc::ByteBuffer question_;
  grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer> stream_{context()};
  Event read_{this, static_cast<Event::Handler>(&InfoCall::OnRead)};
  Event written_{this, static_cast<Event::Handler>(&InfoCall::OnWritten)};
};

void ReflectionService::AwaitCalls() {
  (new InfoCall<V1>(this, &v1_))->Await();
  (new InfoCall<V1Alpha>(this, &v1alpha_))->Await();
}

}  // namespace heed
