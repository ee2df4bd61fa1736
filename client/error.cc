#include "client/error.h"

#include <grpcpp/support/status.h>

#include <string>

#include "absl/strings/cord.h"
#include "google/rpc/status.pb.h"

namespace heed {
namespace {

template <typename Message>
std::optional<Message> Payload(const absl::Status& status) {
  const auto payload = status.GetPayload("type.googleapis.com/" + Message::descriptor()->full_name());
  Message message;
  if (!payload.has_value() || !message.ParseFromString(std::string(*payload))) return std::nullopt;
  return message;
}

}  // namespace

absl::Status FromGrpcStatus(const grpc::Status& status) {
  // The two enumerations share their numbers: both are google.rpc.Code.
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (!result.ok() && details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : details.details()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

std::vector<google::rpc::BadRequest::FieldViolation> FieldViolations(const absl::Status& status) {
  const auto bad_request = Payload<google::rpc::BadRequest>(status);
  if (!bad_request.has_value()) return {};
  return {bad_request->field_violations().begin(), bad_request->field_violations().end()};
}

std::optional<google::rpc::ErrorInfo> ErrorInfoOf(const absl::Status& status) {
  return Payload<google::rpc::ErrorInfo>(status);
}

}  // namespace heed
