#include "engine/model/safetensors.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status_macros.h"
#include "engine/model/safetensors_header.h"

namespace heed {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors stores little-endian values");

constexpr absl::string_view kScales = ".scales";
constexpr absl::string_view kActivationScales = ".activation_scales";

// A tensor of the file: an entry and, where it is int8, those that belong to it.
struct Parts {
  const SafetensorsEntry* numbers = nullptr;
  const SafetensorsEntry* scales = nullptr;
  const SafetensorsEntry* activation_scales = nullptr;  // or null
};

// The entry of `name` with `suffix`, null if there is none; it must be an F32 vector.
absl::StatusOr<const SafetensorsEntry*> Companion(absl::string_view file,
                                                  const std::map<absl::string_view, const SafetensorsEntry*>& by_name,
                                                  const SafetensorsEntry& of, absl::string_view suffix) {
  const auto found = by_name.find(absl::StrCat(of.name, suffix));
  if (found == by_name.end()) return nullptr;
  const SafetensorsEntry& entry = *found->second;
  if (entry.dtype != "F32" || entry.shape.size() != 1) {
    return TensorFault(file, entry.name, "is ", entry.dtype, " of shape [", absl::StrJoin(entry.shape, ","),
                       "], expected F32 of 1 dimension, for ", of.name, " is int8");
  }
  return &entry;
}

// The tensors that the entries make, in their order. After this an int8 one has scales of the shapes that it may have.
absl::StatusOr<std::vector<Parts>> Assemble(absl::string_view file, const std::vector<SafetensorsEntry>& entries) {
  std::map<absl::string_view, const SafetensorsEntry*> by_name;
  for (const SafetensorsEntry& entry : entries) by_name.emplace(entry.name, &entry);
  std::set<const SafetensorsEntry*> companions;
  std::vector<Parts> found;
  for (const SafetensorsEntry& entry : entries) {
    if (!entry.IsInt8()) continue;
    Parts parts{.numbers = &entry};
    HEED_ASSIGN_OR_RETURN(parts.scales, Companion(file, by_name, entry, kScales));
    HEED_ASSIGN_OR_RETURN(parts.activation_scales, Companion(file, by_name, entry, kActivationScales));
    if (parts.scales == nullptr) return TensorFault(file, entry.name, "is int8, but there is no ", entry.name, kScales);
    const std::uint64_t rows = entry.shape[0];
    if (parts.scales->shape[0] != 1 && parts.scales->shape[0] != rows) {
      return TensorFault(file, parts.scales->name, "has ", parts.scales->shape[0], " elements, expected 1, or ", rows,
                         " as ", entry.name, " has rows");
    }
    companions.insert({parts.scales, parts.activation_scales});
    found.push_back(parts);
  }
  for (const SafetensorsEntry& entry : entries) {
    if (!entry.IsInt8() && !companions.contains(&entry)) found.push_back({.numbers = &entry});
  }
  return found;
}

std::vector<float> Floats(const SafetensorsEntry& entry, const char* data) {
  const char* source = data + entry.offsets[0];
  const std::uint64_t bytes = entry.bytes();
  std::vector<float> floats(bytes / entry.ElementBytes());
  if (entry.dtype == "F32") {
    std::memcpy(floats.data(), source, bytes);
    return floats;
  }
  for (float& x : floats) {
    std::uint16_t half;
    std::memcpy(&half, source, sizeof half);
    source += sizeof half;
    x = std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
  }
  return floats;
}

Tensor MakeTensor(const Parts& parts, const char* data) {
  const SafetensorsEntry& entry = *parts.numbers;
  Tensor tensor;
  tensor.name = entry.name;
  tensor.shape.assign(entry.shape.begin(), entry.shape.end());
  if (!entry.IsInt8()) {
    tensor.data = Floats(entry, data);
    return tensor;
  }
  tensor.quantised.resize(entry.bytes());
  std::memcpy(tensor.quantised.data(), data + entry.offsets[0], tensor.quantised.size());
  tensor.scales = Floats(*parts.scales, data);
  if (tensor.scales.size() == 1) tensor.scales.resize(entry.shape[0], tensor.scales[0]);
  if (parts.activation_scales != nullptr) tensor.activation_scales = Floats(*parts.activation_scales, data);
  return tensor;
}

// Of memory, once made. Whole entries: what CheckEntry has checked cannot overflow.
std::int64_t BytesOf(const Parts& parts) {
  const auto stored = [](const SafetensorsEntry* entry) { return entry == nullptr ? 0 : Saturated(entry->bytes()); };
  if (!parts.numbers->IsInt8()) return stored(parts.numbers) * (parts.numbers->dtype == "F32" ? 1 : 2);
  return SaturatingAdd(stored(parts.numbers), stored(parts.activation_scales),
                       SaturatingMultiply(Saturated(parts.numbers->shape[0]), sizeof(float)));
}

absl::Status CheckScales(absl::string_view file, const std::string& name, const std::vector<float>& scales) {
  for (std::size_t i = 0; i < scales.size(); ++i) {
    if (scales[i] >= kMinScale && scales[i] <= kMaxScale) continue;  // NaN is not
    return TensorFault(file, name, "element [", i, "] is ", scales[i], ", expected ", kMinScale, " to ", kMaxScale);
  }
  return absl::OkStatus();
}

// "17,3" of the i-th element.
std::string IndexOf(const Tensor& tensor, std::size_t i) {
  const std::size_t columns = static_cast<std::size_t>(tensor.columns());
  return tensor.shape.size() < 2 ? absl::StrCat(i) : absl::StrCat(i / columns, ",", i % columns);
}

absl::Status CheckInt8(absl::string_view file, const Tensor& tensor) {
  if (tensor.shape.size() != 2)
    return TensorFault(file, tensor.name, "is int8 of ", tensor.shape.size(), " dimension, expected 2");
  for (std::size_t i = 0; i < tensor.quantised.size(); ++i) {
    if (tensor.quantised[i] != -128) continue;
    return TensorFault(file, tensor.name, "element [", IndexOf(tensor, i), "] is -128, expected -127 to 127");
  }
  if (static_cast<std::int64_t>(tensor.scales.size()) != tensor.rows()) {
    return TensorFault(file, tensor.name, tensor.scales.size(), " scales, expected ", tensor.rows(), ", one a row");
  }
  const std::int64_t activations = static_cast<std::int64_t>(tensor.activation_scales.size());
  if (activations > kMaxActivationScales || (activations > 0 && tensor.rows() % activations != 0)) {
    return TensorFault(file, absl::StrCat(tensor.name, kActivationScales), "has ", activations,
                       " elements, expected 1 to ", kMaxActivationScales, ", a divisor of ", tensor.name, "'s ",
                       tensor.rows(), " rows");
  }
  HEED_RETURN_IF_ERROR(CheckScales(file, absl::StrCat(tensor.name, kScales), tensor.scales));
  return CheckScales(file, absl::StrCat(tensor.name, kActivationScales), tensor.activation_scales);
}

}  // namespace

absl::Status CheckNumbers(absl::string_view file, const Tensor& tensor) {
  std::int64_t count = 1;
  for (const std::int64_t n : tensor.shape) count *= n;
  if (tensor.elements() != count) {
    return TensorFault(file, tensor.name, tensor.elements(), " elements, expected ", count);
  }
  if (tensor.IsInt8()) return CheckInt8(file, tensor);
  for (std::size_t i = 0; i < tensor.data.size(); ++i) {
    if (std::isfinite(tensor.data[i])) continue;
    return TensorFault(file, tensor.name, "element [", IndexOf(tensor, i), "] is ",
                       std::isnan(tensor.data[i]) ? "NaN" : "infinite");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, Tensor>> ParseSafetensors(absl::string_view file, absl::string_view bytes,
                                                               int max_tensors, std::int64_t max_bytes) {
  HEED_ASSIGN_OR_RETURN(const SafetensorsContents contents, ParseSafetensorsHeader(file, bytes, max_tensors));
  HEED_ASSIGN_OR_RETURN(const std::vector<Parts> all, Assemble(file, contents.entries));
  std::int64_t needed = 0;
  for (const Parts& parts : all) needed = SaturatingAdd(needed, BytesOf(parts));
  if (needed > max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        file, ": its tensors need ", needed, " bytes of memory beside the files, more than the bound of ", max_bytes));
  }
  std::map<std::string, Tensor> tensors;
  for (const Parts& parts : all) {
    Tensor tensor = MakeTensor(parts, contents.data.data());
    HEED_RETURN_IF_ERROR(CheckNumbers(file, tensor));
    tensors.emplace(parts.numbers->name, std::move(tensor));
  }
  return tensors;
}

}  // namespace heed
