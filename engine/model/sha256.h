// SHA-256 of bytes in memory, as SHA256SUMS spells it.
//
// Thread-safe: no state.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heed {

// 64 lower-case hex digits. INTERNAL if the crypto library refuses (a FIPS build without SHA-256).
absl::StatusOr<std::string> Sha256Hex(absl::string_view bytes);

}  // namespace heed
