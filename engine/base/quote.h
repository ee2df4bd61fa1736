// Names from outside, made fit for a one-line message.
//
// Thread-safe: no state.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace heed {

// `outside` in quotes, cut after `max_bytes` ("..." says so), with quotes, backslashes and all that is not printable
// ASCII escaped: a, newline, b gives "a\x0ab".
std::string Quote(absl::string_view outside, std::size_t max_bytes = 80);

}  // namespace heed
