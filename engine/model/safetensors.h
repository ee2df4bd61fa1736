// Parser of weights.safetensors: the part of the format that a bundle may use (docs/bundle.md, "weights.safetensors").
//
// The bytes are taken as hostile: every offset, shape and count is checked against the bytes that are there before
// anything is allocated for it, and what is allocated is at most twice the bytes (bf16 widened to f32).
//
// Thread-safe: no state.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/base/saturating.h"
#include "engine/base/tensor.h"

namespace heed {

// Tensors by name; F32 as they are, BF16 widened. `file` opens every message. INVALID_ARGUMENT, in one line: a header
// that is cut short, is no JSON or holds anything else than tensors and string metadata; a name twice, or not 1 to 200
// printable ASCII characters without space; another dtype; not 1 or 2 dimensions, each 1 to 2^30; offsets out of
// range, misaligned, unequal to the shape's bytes, overlapping, or leaving bytes unused; NaN or infinity; a header of
// more than 8 MiB. RESOURCE_EXHAUSTED: the tensors would take more memory than max_bytes; none has been made then.
absl::StatusOr<std::map<std::string, Tensor>> ParseSafetensors(absl::string_view file, absl::string_view bytes,
                                                               int max_tensors, std::int64_t max_bytes = kTooMany);

// INVALID_ARGUMENT naming the tensor and the first element that is NaN or infinite.
absl::Status CheckFinite(absl::string_view file, const Tensor& tensor);

}  // namespace heed
