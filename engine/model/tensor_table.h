// A bundle's tensors as the checker looks them up: by name, against the shape that the program needs, noting which are
// used.
//
// Not thread-safe: one check owns it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/tensor.h"
#include "engine/model/place.h"

namespace heed {

inline constexpr std::int64_t kAnySize = -1;  // in an expected shape
// Largest vector that a program may make; a vocabulary may be larger.
inline constexpr std::int64_t kMaxVectorSize = std::int64_t{1} << 20;
// Summed sizes of all values of one program, distributions apart: values that double from op to op end here.
inline constexpr std::int64_t kMaxProgramSize = std::int64_t{1} << 22;
// Of an attend or a self-attention. Heads times source positions must stay an int.
inline constexpr int kMaxHeads = 4096;

class TensorTable {
 public:
  // `tensors` must outlive the table and what it returns.
  explicit TensorTable(const std::map<std::string, Tensor>& tensors) : tensors_(tensors) {}

  // INVALID_ARGUMENT if any tensor's numbers are not as CheckNumbers (safetensors.h) wants them.
  absl::Status CheckData() const;

  // The tensor that `field` of the op at `place` names. INVALID_ARGUMENT if `name` is empty, unknown or of another
  // shape. `expected` has one entry a dimension, kAnySize where all sizes up to kMaxVectorSize will do.
  absl::StatusOr<const Tensor*> Required(const Place& place, const char* field, const std::string& name,
                                         std::initializer_list<std::int64_t> expected);
  // The same; null if `name` is empty.
  absl::StatusOr<const Tensor*> Optional(const Place& place, const char* field, const std::string& name,
                                         std::initializer_list<std::int64_t> expected);

  // The same, whatever its shape; does not count as use.
  absl::StatusOr<const Tensor*> Existing(const Place& place, const char* field, const std::string& name) const;

  // INVALID_ARGUMENT naming the first tensor that nothing asked for.
  absl::Status CheckAllUsed() const;

 private:
  const std::map<std::string, Tensor>& tensors_;
  std::set<const Tensor*> used_;
};

}  // namespace heed
