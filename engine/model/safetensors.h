// Parser of weights.safetensors: the part of the format that a bundle may use (docs/bundle.md, "weights.safetensors").
//
// The bytes are taken as hostile: every offset, shape and count is checked against the bytes that are there before
// anything is allocated for it, and what is allocated is at most twice the bytes (bf16 widened to f32), and 4 more a
// row of an int8 tensor.
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

// Tensors by name; F32 as they are, BF16 widened, I8 with the scales that its NAME.scales and NAME.activation_scales
// hold, which are no tensors of their own. `file` opens every message. INVALID_ARGUMENT, in one line: a header that is
// cut short, is no JSON or holds anything else than tensors and string metadata; a name twice, or not 1 to 200
// printable ASCII characters without space; another dtype; not 1 or 2 dimensions, each 1 to 2^30; offsets out of
// range, misaligned, unequal to the shape's bytes, overlapping, or leaving bytes unused; I8 of 1 dimension, without
// scales, or with such as have another dtype or shape than belongs to it; what CheckNumbers refuses; a header of more
// than 8 MiB. RESOURCE_EXHAUSTED: the tensors would take more memory than max_bytes; none has been made then.
absl::StatusOr<std::map<std::string, Tensor>> ParseSafetensors(absl::string_view file, absl::string_view bytes,
                                                               int max_tensors, std::int64_t max_bytes = kTooMany);

// Of each scale of an int8 tensor, so that neither what it stands for nor its inverse overflows.
inline constexpr float kMinScale = 1e-30f;
inline constexpr float kMaxScale = 1e30f;
// As many stretches of rows with an activation scale each as a cell has gates.
inline constexpr std::int64_t kMaxActivationScales = 4;

// INVALID_ARGUMENT naming the tensor and what of it is wrong: a count that its shape does not have; the first element
// that is NaN or infinite. Of int8: not 2 dimensions; the first number that is -128, whose negative no int8 is; scales
// that are not one a row; activation scales of which there are more than kMaxActivationScales, or whose number does not
// divide the rows; the first scale that is not kMinScale to kMaxScale.
absl::Status CheckNumbers(absl::string_view file, const Tensor& tensor);

}  // namespace heed
