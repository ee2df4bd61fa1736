// A message of protobuf from its JSON form, as files and certificates hold it.
//
// Plain function, thread-safe.
#pragma once

#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heed {

// Strict: unknown fields, unknown enum names and values more than 64 levels deep are INVALID_ARGUMENT, with what
// protobuf says made one line of at most 300 printable bytes.
absl::Status ParseJsonMessage(absl::string_view json, google::protobuf::Message* message);

}  // namespace heed
