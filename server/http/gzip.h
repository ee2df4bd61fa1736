// `text` as a gzip stream (RFC 1952).
//
// Thread-safe.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace heed {

std::string Gzip(absl::string_view text);

}  // namespace heed
