// Names from outside, made fit for a one-line message.
//
// Thread-safe: no state.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace heed {

// `outside` with anything but printable ASCII escaped, cut after `max_bytes` ("..." says so), in quotes:
// Quote("a\n") is "\"a\\n\"".
inline std::string Quote(absl::string_view outside, std::size_t max_bytes = 80) {
  const bool cut = outside.size() > max_bytes;
  return absl::StrCat("\"", absl::CHexEscape(outside.substr(0, max_bytes)), cut ? "...\"" : "\"");
}

}  // namespace heed
