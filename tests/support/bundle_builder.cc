#include "tests/support/bundle_builder.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "google/protobuf/util/json_util.h"

namespace heed {

BundleBuilder::BundleBuilder(std::uint32_t seed, int source_vocabulary, int target_vocabulary) : random_(seed) {
  bundle_.folder = "(memory)";
  bundle_.digest = std::string(64, '0');
  Merge(absl::Substitute(R"json({
    "format_version": 1, "name": "test-model", "version": "1", "task": "TASK_TRANSLATE",
    "source_language": "ko", "target_language": "en", "license": "Apache-2.0",
    "segmentation": "SEGMENTATION_NONE",
    "source": {"size": $0, "unk_id": 0, "bos_id": 1, "eos_id": 2, "add_eos": true,
               "sentencepiece": {"file": "source.spm"}},
    "target": {"size": $1, "unk_id": 0, "bos_id": 1, "eos_id": 2, "sentencepiece": {"file": "target.spm"}}
  })json",
                         source_vocabulary, target_vocabulary));
}

void BundleBuilder::Merge(const std::string& json) {
  model::v1::ModelSpec part;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &part);
  if (!status.ok()) {
    std::cerr << "BundleBuilder::Merge: " << status.ToString() << "\n" << json << "\n";
    std::abort();
  }
  bundle_.spec.MergeFrom(part);
}

void BundleBuilder::AddTensor(const std::string& name, const std::vector<std::int64_t>& shape, float gain) {
  Tensor tensor;
  tensor.name = name;
  tensor.shape = shape;
  std::int64_t count = 1;
  for (std::int64_t n : shape) count *= n;
  const float bound = shape.size() < 2 ? gain / 4 : gain / std::sqrt(static_cast<float>(tensor.columns()));
  tensor.data.resize(count);
  // Not uniform_real_distribution: its values are the library's choice, these are the same everywhere.
  for (float& x : tensor.data) x = bound * (static_cast<float>(random_() >> 8) / (1 << 23) - 1);
  bundle_.tensors[name] = std::move(tensor);
}

std::string BundleBuilder::AddCell(const TestCell& cell) {
  const bool ssru = cell.kind == "SSRU";
  const int blocks = cell.kind == "LSTM" ? 4 : cell.kind == "GRU" ? 3 : ssru ? 2 : 1;
  const int rows = blocks * cell.hidden;
  std::string json = absl::StrCat("{\"kind\": \"CELL_KIND_", cell.kind, "\"");
  const auto add = [&](const char* field, const std::vector<std::int64_t>& shape, float gain = 1.7f) {
    const std::string name = absl::StrCat(cell.prefix, ".", field);
    AddTensor(name, shape, gain);
    absl::StrAppend(&json, ", \"", field, "\": \"", name, "\"");
  };
  if (cell.inputs > 0) add("weight_input", {rows, cell.inputs});
  if (!ssru) add("weight_state", {rows, cell.hidden});
  if (cell.bias_input) add("bias_input", {rows});
  if (cell.bias_state && !ssru) add("bias_state", {rows});
  if (cell.kind == "GRU") {
    absl::StrAppend(&json, ", \"gru_reset\": \"GRU_RESET_", cell.reset_before ? "BEFORE" : "AFTER", "\"");
  }
  if (!cell.gate.empty()) absl::StrAppend(&json, ", \"gate\": \"FUNCTION_", cell.gate, "\"");
  if (!cell.function.empty()) absl::StrAppend(&json, ", \"function\": \"FUNCTION_", cell.function, "\"");
  if (cell.norm.empty()) return absl::StrCat(json, "}");

  absl::StrAppend(&json, ", \"norm\": {\"epsilon\": 1e-5, \"groups\": \"NORM_GROUPS_", cell.norm, "\"");
  const bool has_state = !ssru && (!cell.norm_sum || cell.inputs == 0);
  if (cell.inputs > 0) add("input_scale", {rows}, 6);
  if (cell.inputs > 0 && cell.norm_bias) add("input_bias", {rows});
  if (has_state) add("state_scale", {rows}, 6);
  if (has_state && cell.norm_bias) add("state_bias", {rows});
  if (cell.norm_cell) add("cell_scale", {cell.hidden}, 6);
  if (cell.norm_carried) absl::StrAppend(&json, ", \"cell_carried\": true");
  if (cell.norm_cell && cell.norm_bias) add("cell_bias", {cell.hidden});
  return absl::StrCat(json, "}}");
}

void BundleBuilder::RoundToBf16() {
  for (auto& [name, tensor] : bundle_.tensors) {
    for (float& x : tensor.data) {
      std::uint32_t bits;
      std::memcpy(&bits, &x, sizeof bits);
      bits &= 0xffff0000u;
      std::memcpy(&x, &bits, sizeof bits);
    }
  }
}

void BundleBuilder::Quantise(float activation_scale) {
  for (auto& [name, tensor] : bundle_.tensors) {
    if (tensor.shape.size() != 2) continue;
    const std::size_t columns = static_cast<std::size_t>(tensor.columns());
    for (std::size_t at = 0; at < tensor.data.size(); at += columns) {
      float largest = 0;
      for (std::size_t i = at; i < at + columns; ++i) largest = std::max(largest, std::abs(tensor.data[i]));
      const float scale = largest > 0 ? largest / 127 : 1;
      tensor.scales.push_back(scale);
      for (std::size_t i = at; i < at + columns; ++i) {
        tensor.quantised.push_back(static_cast<std::int8_t>(std::lrint(tensor.data[i] / scale)));
      }
    }
    tensor.data.clear();
    if (activation_scale > 0) tensor.activation_scales = {activation_scale};
  }
}

}  // namespace heed
