// Files of format version 1: model.json and parity.json, whose `search` said how lengths are normalised in three
// fields, `length_normalization`, `length_alpha` and `length_beta`, where heed.v1.SearchOptions has messages.
//
// Plain function, thread-safe.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heed {

// The JSON of such a file with `search` in the form of version 2, all else as it is; none where there is nothing to
// change: version 2, no such field, or no JSON, which whoever reads it next says better. INVALID_ARGUMENT where one of
// the three is out of its bounds or of another type, and for a version that there is not: "search.length_alpha is -1,
// expected 0 to 10", "format_version is 3, expected 1 to 2".
absl::StatusOr<std::optional<std::string>> FromVersion1(absl::string_view json);

}  // namespace heed
