// Errors as a caller gets them: an absl::Status whose payloads are the google.rpc messages of the reply's
// `grpc-status-details-bin` trailer, under their type URLs, and functions that read them.
//
// Plain functions, thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"

namespace grpc {
class Status;
}

namespace heed {

// Code, message and details. Details that do not parse are left out.
absl::Status FromGrpcStatus(const grpc::Status& status);

// The fields at fault; empty where the error names none.
std::vector<google::rpc::BadRequest::FieldViolation> FieldViolations(const absl::Status& status);

// The reason for programs, "MODEL_NOT_FOUND" say, if the error carries one.
std::optional<google::rpc::ErrorInfo> ErrorInfoOf(const absl::Status& status);

}  // namespace heed
