// Small model bundles for tests, made in memory from a spec in JSON and seeded random weights.
//
// A test takes one of the ready-made models of test_models.h, or writes its own program here, changes whatever it wants
// to see changed through spec() and tensors(), and builds. bundle_folder.h writes a Bundle as a real folder.
//
//   BundleBuilder b = LuongLstm({.embedding = 12}, /*seed=*/7);
//   b.spec().mutable_step()->set_start_id(2);
//   Bundle bundle = b.Build();
//
// Not thread-safe; each test makes its own.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "engine/model/bundle.h"
#include "heed/model/v1/model.pb.h"

namespace heed {

// Which tensors a recurrence gets and under which names: PREFIX.weight_input, .weight_state, .bias_input, .bias_state;
// PREFIX.input_scale and so on of its norm.
struct TestCell {
  std::string prefix;
  std::string kind;  // "LSTM", "GRU", "RNN", "SSRU"
  int hidden = 0;
  int inputs = 0;             // 0: no input
  bool reset_before = false;  // GRU
  bool bias_input = true;
  bool bias_state = true;
  std::string gate = {};      // "HARD_SIGMOID"; empty: the default
  std::string function = {};  // "RELU"; empty: the default
  std::string norm = {};      // groups: "ALL", "BLOCKS", "GATES"; empty: no norm
  bool norm_sum = false;      // no state_scale
  bool norm_bias = true;      // input_bias, state_bias, cell_bias
  bool norm_cell = false;     // cell_scale
  bool norm_carried = false;  // cell_carried
};

class BundleBuilder {
 public:
  // Starts with a valid spec but for its programs: "test-model" 1, translating ko to en, unk 0, bos 1, eos 2, whole
  // texts, add_eos, tokenisers "source.spm" and "target.spm".
  BundleBuilder(std::uint32_t seed, int source_vocabulary, int target_vocabulary);

  // Merges a ModelSpec in JSON into the spec: repeated fields are appended. Aborts the test if it does not parse.
  void Merge(const std::string& json);

  // Uniform values within +-gain / sqrt(columns) for a matrix and +-gain / 4 for a vector: large enough that two
  // inputs give visibly different outputs. Values depend on the seed and on the order of the calls.
  void AddTensor(const std::string& name, const std::vector<std::int64_t>& shape, float gain = 1.7f);

  // Adds the cell's tensors and returns its CellSpec in JSON.
  std::string AddCell(const TestCell& cell);

  model::v1::ModelSpec& spec() { return bundle_.spec; }
  std::map<std::string, Tensor>& tensors() { return bundle_.tensors; }

  // Drops the low 16 bits of every value, so that a bf16 file holds the very same weights.
  void RoundToBf16();

  // Makes int8 of every matrix: each row's largest number is 127. With an activation_scale, each has that one.
  void Quantise(float activation_scale = 0);

  // A copy of what has been built; files is empty and digest 64 zeros.
  Bundle Build() const { return bundle_; }

 private:
  Bundle bundle_;
  std::mt19937 random_;
};

}  // namespace heed
