// Statuses that say which field is at fault. The details travel as absl::Status payloads (serialised google.rpc
// messages under their type URLs), which server/rpc turns into the `grpc-status-details-bin` trailer.
//
// Plain functions, thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace heed {

// INVALID_ARGUMENT "FIELD is VALUE; it must be BOUND", with BadRequest and ErrorInfo details.
absl::Status InvalidField(std::string_view field, std::string_view value, std::string_view bound);

// Any code with an ErrorInfo: reason in UPPER_SNAKE_CASE, metadata for programs.
absl::Status ErrorWithInfo(absl::StatusCode code, std::string_view message, std::string_view reason,
                           const std::map<std::string, std::string>& metadata = {});

}  // namespace heed
