// How the checks of model.json's plain fields say what is wrong: one line that names the field, its value and the
// bound.
//
// Plain functions, thread-safe.
#pragma once

#include <algorithm>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/quote.h"
#include "engine/model/bundle_files.h"

namespace heed {

// INVALID_ARGUMENT: "model.json: ...".
template <typename... Args>
absl::Status SpecFault(const Args&... what) {
  return absl::InvalidArgumentError(absl::StrCat(kSpecFile, ": ", what...));
}

// "model.json: limits.max_source_tokens is 0, expected 1 to 100000". NaN is outside every range.
template <typename T>
absl::Status CheckRange(absl::string_view field, T value, std::type_identity_t<T> least, std::type_identity_t<T> most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return SpecFault(field, " is ", value, ", expected ", least, " to ", most);
}

// Texts for people: what GetModel returns has no control characters. "model.json: precision.by is "", expected 1 to 200
// bytes, one line of text".
inline absl::Status CheckLine(absl::string_view field, absl::string_view text, std::size_t most) {
  const bool one_line = std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 127; });
  if (!text.empty() && text.size() <= most && one_line) return absl::OkStatus();
  return SpecFault(field, " is ", Quote(text), ", expected 1 to ", most, " bytes, one line of text");
}

}  // namespace heed
