#include "engine/base/quote.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace heed {

std::string Quote(absl::string_view outside, std::size_t max_bytes) {
  std::string quoted = "\"";
  for (const char c : outside.substr(0, max_bytes)) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) {
      absl::StrAppend(&quoted, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
      continue;
    }
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  quoted += outside.size() > max_bytes ? "...\"" : "\"";
  return quoted;
}

}  // namespace heed
