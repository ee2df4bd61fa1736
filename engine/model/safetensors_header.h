// The header of a weights.safetensors: which tensors lie where, each held against the bytes that are there.
//
// Thread-safe: no state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace heed {

// What the header says of one tensor.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> offsets;  // begin and end in the data

  bool IsInt8() const { return dtype == "I8"; }
  // 0 where the dtype is none that a bundle may use.
  std::uint64_t ElementBytes() const;
  std::uint64_t bytes() const { return offsets[1] - offsets[0]; }
};

struct SafetensorsContents {
  std::vector<SafetensorsEntry> entries;  // by where they lie: the data, one behind the other
  absl::string_view data;                 // a part of the file's bytes
};

// "FILE: tensor NAME: WHAT", INVALID_ARGUMENT.
template <typename... What>
absl::Status TensorFault(absl::string_view file, absl::string_view name, const What&... what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ": tensor ", name, ": ", what...));
}

// The entries of a file, which ParseSafetensors (safetensors.h) goes on with: it says what is refused.
absl::StatusOr<SafetensorsContents> ParseSafetensorsHeader(absl::string_view file, absl::string_view bytes,
                                                           int max_tensors);

}  // namespace heed
