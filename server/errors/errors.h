// Statuses that say which field is at fault. The details travel as absl::Status payloads (serialised google.rpc
// messages under their type URLs), which server/rpc turns into the `grpc-status-details-bin` trailer.
//
// Plain functions, thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace heed {

// INVALID_ARGUMENT "FIELD is VALUE; it must be BOUND", with BadRequest and ErrorInfo details.
absl::Status InvalidField(absl::string_view field, absl::string_view value, absl::string_view bound);

// Any code with an ErrorInfo: reason in UPPER_SNAKE_CASE, metadata for programs.
absl::Status ErrorWithInfo(absl::StatusCode code, absl::string_view message, absl::string_view reason,
                           const std::map<std::string, std::string>& metadata = {});

// Marks a refusal that the client may try again after `delay`: the only statuses that a client should retry here.
absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);
// The delay, where the status carries one.
std::optional<absl::Duration> RetryDelay(const absl::Status& status);

// What a client sent, fit for a message: in quotes, escaped, at most 64 bytes of it.
std::string Quoted(absl::string_view text);
// "a, b and c"; past 10 items "... and N more". `none` when there are no items.
std::string Listed(const std::vector<std::string>& items, absl::string_view none = "none");

}  // namespace heed
