// Reads a JSON array of strings: the file format of a vocabulary's pieces.
//
// Thread-safe: a function only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace heed {

// The strings of `json`, RFC 8259, which must be an array of exactly `count` strings of valid UTF-8, each at most 64
// KiB. INVALID_ARGUMENT, in one line, names the item, counted
// from 0, and the byte, counted from 1, at fault.
absl::StatusOr<std::vector<std::string>> ParseStringArray(std::string_view json, int count);

}  // namespace heed
