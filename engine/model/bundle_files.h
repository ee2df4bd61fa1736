// The files of a bundle's folder: read once each, bounded, and proven to be what SHA256SUMS says.
//
// Thread-safe: no state.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/model/bundle.h"

namespace heed {

inline constexpr absl::string_view kSumsFile = "SHA256SUMS";
inline constexpr absl::string_view kSpecFile = "model.json";
inline constexpr absl::string_view kWeightsFile = "weights.safetensors";

// True for 1 to 128 of [A-Za-z0-9._-] that do not start with a dot: what a file of a bundle may be called.
bool IsBundleFileName(absl::string_view name);

struct BundleFiles {
  std::map<std::string, std::string> files;  // by name, SHA256SUMS included
  std::string digest;                        // of SHA256SUMS
  std::int64_t bytes = 0;                    // memory of the files, and of model.json parsed
};

// Reads every file of `folder`. NOT_FOUND: no such folder, or a file that SHA256SUMS lists (or SHA256SUMS itself) is
// missing. INVALID_ARGUMENT: anything that is not a regular file, a file that is not listed, a sum that differs, a
// bound passed. RESOURCE_EXHAUSTED: all together take more than limits.max_bytes; none has been read then. The system's
// own code where a file cannot be opened or read. Symbolic links inside the folder are not followed; `folder` itself
// may be one.
absl::StatusOr<BundleFiles> ReadBundleFiles(const std::string& folder, const BundleLimits& limits);

}  // namespace heed
