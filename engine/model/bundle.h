// A model bundle as read from disk: hashed, bounded and parsed, but its programs not yet checked.
//
// A bundle is a directory of model.json, weights.safetensors, the tokeniser files that model.json names, LICENSE,
// README.md, optionally parity.json and NOTICE, and SHA256SUMS, which lists every other file (docs/bundle.md gives each
// byte). Each file is read once into memory, hashed, and used from there.
//
// Immutable after reading, so safe to share.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/tensor.h"
#include "engine/model/shortlist.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

struct Bundle {
  std::string folder;                        // path it was read from
  model::v1::ModelSpec spec;                 // parsed model.json
  std::map<std::string, std::string> files;  // every file but the weights, by name
  std::map<std::string, Tensor> tensors;     // by name; f32 or int8
  std::optional<Shortlist> shortlist;        // where model.json names one
  std::string digest;                        // lower-case hex SHA-256 of SHA256SUMS
};

struct BundleLimits {
  std::int64_t max_file_bytes = std::int64_t{4} << 30;  // of any one file
  std::int64_t max_text_bytes = 1 << 20;                // of README.md, LICENSE and NOTICE
  std::int64_t max_parity_bytes = 4 << 20;              // of parity.json, which GetModel returns
  int max_files = 64;
  int max_tensors = 4096;
  std::int64_t max_bytes = std::numeric_limits<std::int64_t>::max();  // of memory, for all that reading makes
};

// Memory that a parsed model.json of so many bytes takes at most, while it is parsed included.
std::int64_t SpecBytes(std::int64_t json_bytes);

// Reads the bundle in `folder`. Every fault is one line that names the file, the item and what was expected:
// NOT_FOUND (no folder, a missing file), INVALID_ARGUMENT (anything wrong in one), RESOURCE_EXHAUSTED (more memory than
// the bound, found before it is taken). Allocates no more than the files' sizes justify.
absl::StatusOr<Bundle> ReadBundle(const std::string& folder, const BundleLimits& limits = {});

struct BundleFiles;  // bundle_files.h

// The same of files in memory, whose sums are as they should be; the bundle's folder is empty.
absl::StatusOr<Bundle> ParseBundle(BundleFiles read, const BundleLimits& limits = {});

}  // namespace heed
