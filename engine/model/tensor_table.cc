#include "engine/model/tensor_table.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "engine/model/bundle_files.h"
#include "engine/model/safetensors.h"

namespace heed {
namespace {

std::string ExpectedShape(std::initializer_list<std::int64_t> expected) {
  return absl::StrCat("[",
                      absl::StrJoin(expected, ",",
                                    [](std::string* out, std::int64_t n) {
                                      absl::StrAppend(out, n == kAnySize ? "n" : absl::StrCat(n));
                                    }),
                      "]");
}

}  // namespace

absl::Status TensorTable::CheckData() const {
  for (const auto& [name, tensor] : tensors_) HEED_RETURN_IF_ERROR(CheckNumbers(kWeightsFile, tensor));
  return absl::OkStatus();
}

absl::StatusOr<const Tensor*> TensorTable::Required(const Place& place, const char* field, const std::string& name,
                                                    std::initializer_list<std::int64_t> expected) {
  HEED_ASSIGN_OR_RETURN(const Tensor* tensor, Existing(place, field, name));
  bool same = tensor->shape.size() == expected.size();
  for (std::size_t i = 0; same && i < expected.size(); ++i) {
    const std::int64_t n = expected.begin()[i];
    same = n == kAnySize ? tensor->shape[i] <= kMaxVectorSize : n == tensor->shape[i];
  }
  if (!same) {
    return place.Invalid(field, " ", name, " is [", absl::StrJoin(tensor->shape, ","), "], expected ",
                         ExpectedShape(expected));
  }
  used_.insert(tensor);
  return tensor;
}

absl::StatusOr<const Tensor*> TensorTable::Optional(const Place& place, const char* field, const std::string& name,
                                                    std::initializer_list<std::int64_t> expected) {
  if (name.empty()) return nullptr;
  return Required(place, field, name, expected);
}

absl::StatusOr<const Tensor*> TensorTable::Existing(const Place& place, const char* field,
                                                    const std::string& name) const {
  if (name.empty()) return place.Invalid(field, " is missing, expected the name of a tensor");
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return place.Invalid(field, " ", Quote(name), " is not in ", kWeightsFile);
  return &found->second;
}

absl::Status TensorTable::CheckAllUsed() const {
  for (const auto& [name, tensor] : tensors_) {
    if (!used_.contains(&tensor)) {
      return absl::InvalidArgumentError(absl::StrCat(kWeightsFile, ": tensor ", name, " is used by no op"));
    }
  }
  return absl::OkStatus();
}

}  // namespace heed
