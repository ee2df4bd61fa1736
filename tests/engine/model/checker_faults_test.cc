// Every fault of a program that the checker knows, with the one line that it is refused with.
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/model/checker.h"
#include "gtest/gtest.h"
#include "tests/support/attention_models.h"

namespace heed {
namespace {

using model::v1::Op;

// Damage to a model and the one line that it is refused with.
struct Fault {
  const char* what;
  std::function<BundleBuilder()> model;
  std::function<void(BundleBuilder&)> damage;
  std::string message;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

Op* Encoder(BundleBuilder& b, int i) { return b.spec().mutable_encoder()->mutable_ops(i); }
Op* Init(BundleBuilder& b, int i) { return b.spec().mutable_init()->mutable_ops(i); }
Op* Step(BundleBuilder& b, int i) { return b.spec().mutable_step()->mutable_ops(i); }
model::v1::CellSpec* LuongCell(BundleBuilder& b) { return Step(b, 1)->mutable_cell()->mutable_cell(); }
model::v1::Attend* LuongAttend(BundleBuilder& b) { return Step(b, 2)->mutable_attend(); }

const std::string kE = "e";

BundleBuilder Luong() { return LuongLstm(); }
BundleBuilder Int8() {
  BundleBuilder b = LuongLstm();
  b.Quantise(/*activation_scale=*/0.05f);
  return b;
}
BundleBuilder Bahdanau() { return BahdanauGru(); }
BundleBuilder Various() { return Variety(); }
BundleBuilder Conditional() { return Marian(); }
BundleBuilder Plain() { return NoAttention(); }
BundleBuilder Location() { return AttentionModel({.score = "LOCATION", .heads = 2}); }
BundleBuilder Covered() { return AttentionModel({.heads = 2, .coverage = true, .in_init = true}); }
BundleBuilder Copying() { return PointerGenerator(); }
BundleBuilder SameCopying() { return PointerGenerator({.target_vocabulary = 23}); }
BundleBuilder Students() { return Student(); }
BundleBuilder NormedLstm() { return CellModel({.kind = "LSTM", .norm = "ALL", .norm_cell = true}); }
BundleBuilder NormedGru() { return CellModel({.kind = "GRU", .norm = "GATES"}); }
BundleBuilder NormedSsru() { return CellModel({.kind = "SSRU", .norm = "ALL"}); }

model::v1::CellSpec* FirstCell(BundleBuilder& b) { return Step(b, 1)->mutable_cell()->mutable_cell(); }
model::v1::CellNorm* FirstNorm(BundleBuilder& b) { return FirstCell(b)->mutable_norm(); }
model::v1::CellSpec* Transition(BundleBuilder& b) { return Encoder(b, 1)->mutable_rnn()->mutable_transitions(0); }

void ExpectFaults(const std::vector<Fault>& faults) {
  for (const Fault& fault : faults) {
    SCOPED_TRACE(fault.what);
    BundleBuilder b = fault.model();
    fault.damage(b);
    const Bundle bundle = b.Build();
    const absl::Status status = CheckProgram(bundle).status();
    EXPECT_EQ(status.code(), fault.code) << status;
    EXPECT_EQ(std::string(status.message()), fault.message);
  }
}

TEST(CheckProgram, RefusesNamesAndReferencesThatMeanNothing) {
  ExpectFaults({
      {"ill-formed name", Luong, [](auto& b) { Step(b, 0)->set_name("E\n"); },
       "model.json: step: op 1 is called \"E\\x0a\", expected 1 to 64 of [a-z][a-z0-9_]*"},
      {"name twice", Luong, [](auto& b) { Step(b, 3)->set_name("c"); },
       "model.json: step.c (linear): the name stands twice in its program"},
      {"name of an encoder output", Luong, [](auto& b) { Step(b, 4)->set_name("m"); },
       "model.json: step.m (linear): the name is taken by an output of the encoder"},
      {"empty op", Luong, [](auto& b) { Step(b, 4)->clear_op(); }, "model.json: step: r holds no op"},
      {"unknown reference", Luong, [](auto& b) { Step(b, 3)->mutable_linear()->set_inputs(0, "nothing"); },
       "model.json: step.a (linear): input \"nothing\" names no value of the step program or the encoder's outputs"},
      {"forward reference", Luong, [](auto& b) { Step(b, 1)->mutable_cell()->set_inputs(1, "a"); },
       "model.json: step.h (cell): input a is made by a later op; it may read only earlier ones, or the previous "
       "step's "
       "value with a prime"},
      {"reference to itself", Luong, [](auto& b) { Step(b, 3)->mutable_linear()->set_inputs(0, "a"); },
       "model.json: step.a (linear): input a is made by this op itself; it may read only earlier ones, or the previous "
       "step's value with a prime"},
      {"cycle in the encoder", Luong, [](auto& b) { Encoder(b, 1)->mutable_rnn()->set_input("m1"); },
       "model.json: encoder.f1 (rnn): input m1 is made by a later op; it may read only earlier ones"},
      {"prime in init", Luong, [](auto& b) { Init(b, 0)->mutable_linear()->set_inputs(0, "final'"); },
       "model.json: init.c0 (linear): input final': only the step program has a previous step"},
      {"prime on an encoder output", Plain, [](auto& b) { Step(b, 1)->mutable_cell()->set_inputs(1, "f.h'"); },
       "model.json: step.h (cell): input f.h': an output of the encoder never changes: leave out the prime"},
      {"part that a GRU lacks", Bahdanau, [](auto& b) { Step(b, 3)->mutable_linear()->set_inputs(0, "h.c"); },
       "model.json: step.r (linear): input \"h.c\" names no value of the step program or the encoder's outputs"},
      {"value that is no output of the encoder", Luong, [](auto& b) { LuongAttend(b)->set_memory("m1"); },
       "model.json: step.c (attend): memory \"m1\" names no value of the step program or the encoder's outputs"},
      {"missing reference", Luong, [](auto& b) { LuongAttend(b)->clear_memory(); },
       "model.json: step.c (attend): memory is missing"},
      {"size that nothing tells", Luong,
       [](auto& b) {
         b.Merge(R"({"step": {"ops": [{"name": "z", "activation": {"input": "z'", "function": "FUNCTION_TANH"}}]}})");
       },
       "model.json: step.z (activation): input z': nothing says what size it has"},
  });
}

// Each value is within its own bound.
TEST(CheckProgram, RefusesValuesThatDoubleFromOpToOpByTheirSum) {
  EXPECT_TRUE(CheckProgram(Doubling(17).Build()).ok());  // 6 * 2^17 elements at last, 6 * (2^18 - 1) in all
  BundleBuilder wide = Doubling(17);
  for (int i = 0; i < 4; ++i) {
    wide.Merge(absl::StrCat(R"({"encoder": {"ops": [{"name": "w)", i,
                            R"(", "activation": {"input": "d17", "function": "FUNCTION_TANH"}}]}})"));
  }
  const absl::Status status = CheckProgram(wide.Build()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()),
            "model.json: encoder.w2 (activation): makes a value of size 786432, with which the sizes of the encoder "
            "program's values sum to 4718596, more than the bound of 4194304");
  EXPECT_EQ(std::string(CheckProgram(Doubling(18).Build()).status().message()),
            "model.json: encoder.d18 (concat): the inputs' sizes sum to 1572864, more than the bound of 1048576");
}

TEST(CheckProgram, RefusesMoreTransitionsAndHeadsThanTheBounds) {
  ExpectFaults({
      {"transitions", [] { return CellModel({.kind = "GRU"}); },
       [](auto& b) {
         auto* rnn = Encoder(b, 1)->mutable_rnn();
         while (rnn->transitions_size() < 65) *rnn->add_transitions() = rnn->transitions(0);
       },
       "model.json: encoder.f (rnn): 65 transitions, more than the bound of 64"},
      {"heads", Luong, [](auto& b) { LuongAttend(b)->set_heads(4097); },
       "model.json: step.c (attend): heads is 4097, expected 1 to 4096"},
      {"heads of self-attention", Students, [](auto& b) { Encoder(b, 2)->mutable_self_attend()->set_heads(1 << 30); },
       "model.json: encoder.a1 (self_attend): heads is 1073741824, expected 1 to 4096"},
  });
}

TEST(CheckProgram, RefusesTensorsThatDoNotFit) {
  ExpectFaults({
      {"wrong shape", Luong,
       [](auto& b) {
         b.AddTensor("decoder.weight_input", {4, 8});
       },
       "model.json: step.h (cell): weight_input decoder.weight_input is [4,8], expected [40,13]"},
      {"wrong rank", Luong, [](auto& b) { b.AddTensor("readout.weight", {6}); },
       "model.json: step.r (linear): weight readout.weight is [6], expected [n,7]"},
      {"rows that are no blocks", Luong,
       [](auto& b) {
         b.AddTensor("decoder.weight_state", {30, 10});
       },
       "model.json: step.h (cell): weight_state decoder.weight_state is [30,10], expected [40,10]"},
      {"missing tensor", Luong, [](auto& b) { b.tensors().erase("output.bias"); },
       "model.json: step.out (output): bias \"output.bias\" is not in weights.safetensors"},
      {"unnamed tensor", Luong, [](auto& b) { Step(b, 3)->mutable_linear()->clear_weight(); },
       "model.json: step.a (linear): weight is missing, expected the name of a tensor"},
      {"unused tensor", Luong, [](auto& b) { b.AddTensor("stray", {3}); },
       "weights.safetensors: tensor stray is used by no op"},
      {"NaN", Luong, [](auto& b) { b.tensors().at("output.bias").data[3] = std::numeric_limits<float>::quiet_NaN(); },
       "weights.safetensors: tensor output.bias: element [3] is NaN"},
      {"an int8 table without its scales", Int8, [](auto& b) { b.tensors().at("target.embedding").scales.clear(); },
       "weights.safetensors: tensor target.embedding: 0 scales, expected 19, one a row"},
      {"an int8 table with a scale of zero", Int8, [](auto& b) { b.tensors().at("target.embedding").scales[7] = 0; },
       "weights.safetensors: tensor target.embedding.scales: element [7] is 0, expected 1e-30 to 1e+30"},
      {"more activation scales than gates", Int8,
       [](auto& b) { b.tensors().at("target.embedding").activation_scales.assign(19, 1); },
       "weights.safetensors: tensor target.embedding.activation_scales: has 19 elements, expected 1 to 4, a divisor of "
       "target.embedding's 19 rows"},
      {"int8 for a bias", Int8,
       [](auto& b) {
         Tensor& bias = b.tensors().at("output.bias");
         bias.quantised.assign(bias.data.size(), 1);
         bias.scales.assign(bias.data.size(), 1);
         bias.data.clear();
       },
       "weights.safetensors: tensor output.bias: is int8 of 1 dimension, expected 2"},
      {"fewer elements than the shape says", Luong, [](auto& b) { b.tensors().at("output.bias").data.pop_back(); },
       "weights.safetensors: tensor output.bias: 18 elements, expected 19"},
      {"embedding of another vocabulary", Luong,
       [](auto& b) {
         b.AddTensor("source.embedding", {22, 6});
       },
       "model.json: encoder.x (embed): table source.embedding is [22,6], expected [23,n]"},
      {"output of another vocabulary", Conditional,
       [](auto& b) {
         b.AddTensor("output.weight", {20, 6});
       },
       "model.json: step.out (output): weight output.weight is [20,6], expected [19,6]"},
      {"state of another size", Luong,
       [](auto& b) {
         b.AddTensor("bridge.weight", {9, 10});
         b.AddTensor("bridge.bias", {9});
       },
       "model.json: init.initials \"h.c\": from c0 has size 9, expected 10"},
      {"query that is no key", Luong,
       [](auto& b) {
         b.AddTensor("attention.key_weight", {11, 10});
       },
       "model.json: step.c (attend): query has size 10, expected 11, the size of the keys"},
      {"v of another size", Bahdanau, [](auto& b) { b.AddTensor("attention.v", {6}); },
       "model.json: step.c (attend): v attention.v is [6], expected [7]"},
      {"sizes that differ", Various, [](auto& b) { Step(b, 7)->mutable_add()->set_inputs(1, "e"); },
       "model.json: step.t (add): input e has size 6, expected 8 as q has"},
      {"norm of another size", Various, [](auto& b) { b.AddTensor("norm.scale", {7}); },
       "model.json: step.n (layer_norm): scale norm.scale is [7], expected [8]"},
  });
}

TEST(CheckProgram, RefusesOptionsOutOfBounds) {
  ExpectFaults({
      {"no kind", Luong, [](auto& b) { LuongCell(b)->clear_kind(); },
       "model.json: step.h (cell): kind is 0, expected a CELL_KIND"},
      {"unknown kind", Luong, [](auto& b) { LuongCell(b)->set_kind(static_cast<model::v1::CellKind>(77)); },
       "model.json: step.h (cell): kind is 77, expected a CELL_KIND"},
      {"GRU without its reset", Bahdanau,
       [](auto& b) { Step(b, 2)->mutable_cell()->mutable_cell()->clear_gru_reset(); },
       "model.json: step.h (cell): gru_reset is missing, expected GRU_RESET_AFTER or GRU_RESET_BEFORE"},
      {"LSTM with a reset", Luong, [](auto& b) { LuongCell(b)->set_gru_reset(model::v1::GRU_RESET_AFTER); },
       "model.json: step.h (cell): gru_reset is set, but the cell is no GRU"},
      {"gate that is none", Luong, [](auto& b) { LuongCell(b)->set_gate(model::v1::FUNCTION_RELU); },
       "model.json: step.h (cell): gate is 4, expected FUNCTION_SIGMOID, FUNCTION_HARD_SIGMOID or "
       "FUNCTION_HARD_SIGMOID_SIXTH"},
      {"no direction", Luong, [](auto& b) { Encoder(b, 1)->mutable_rnn()->clear_direction(); },
       "model.json: encoder.f1 (rnn): direction is 0, expected DIRECTION_FORWARD or DIRECTION_BACKWARD"},
      {"general with both projections", Luong,
       [](auto& b) { LuongAttend(b)->set_query_weight("attention.key_weight"); },
       "model.json: step.c (attend): SCORE_GENERAL takes exactly one of key_weight and query_weight"},
      {"bias without a projection", Luong, [](auto& b) { LuongAttend(b)->set_value_bias("output.bias"); },
       "model.json: step.c (attend): value_bias needs value_weight"},
      {"heads that do not divide", Luong, [](auto& b) { LuongAttend(b)->set_heads(3); },
       "model.json: step.c (attend): heads is 3, which does not divide both the keys' size 10 and the values' 10"},
      {"negative heads", Luong, [](auto& b) { LuongAttend(b)->set_heads(-1); },
       "model.json: step.c (attend): heads is -1, expected 1 to 4096"},
      {"infinite scale", Luong, [](auto& b) { LuongAttend(b)->set_scale(std::numeric_limits<float>::infinity()); },
       "model.json: step.c (attend): scale is not finite"},
      {"v without additive", Luong, [](auto& b) { LuongAttend(b)->set_v("output.bias"); },
       "model.json: step.c (attend): v and v_bias belong to SCORE_ADDITIVE"},
      {"epsilon of zero", Various, [](auto& b) { Step(b, 8)->mutable_layer_norm()->set_epsilon(0); },
       "model.json: step.n (layer_norm): epsilon is 0, expected above 0"},
      {"slice past the end", Various, [](auto& b) { Step(b, 10)->mutable_slice()->set_end(9); },
       "model.json: step.half (slice): [4,9) is no part of s, which has size 8"},
      {"empty slice", Various, [](auto& b) { Step(b, 10)->mutable_slice()->set_end(4); },
       "model.json: step.half (slice): [4,4) is no part of s, which has size 8"},
      {"maxout of nothing", Various, [](auto& b) { Init(b, 4)->mutable_maxout()->set_group(0); },
       "model.json: init.h0 (maxout): group is 0, which does not divide wide's size 16"},
      {"no pooling", Various, [](auto& b) { Init(b, 0)->mutable_pool()->clear_pooling(); },
       "model.json: init.first (pool): pooling is 0, expected a POOLING"},
      {"activation without function", Various, [](auto& b) { Init(b, 6)->mutable_activation()->clear_function(); },
       "model.json: init.n0 (activation): function is missing"},
      {"one addend", Various,
       [](auto& b) {
         Step(b, 7)->mutable_add()->mutable_inputs()->RemoveLast();
         Step(b, 7)->mutable_add()->mutable_inputs()->RemoveLast();
       },
       "model.json: step.t (add): has 1 inputs, expected at least 2"},
      {"start id past the vocabulary", Luong, [](auto& b) { b.spec().mutable_step()->set_start_id(19); },
       "model.json: step.start_id: is 19, expected 0 to 18"},
      {"no start", Luong, [](auto& b) { b.spec().mutable_step()->clear_start(); },
       "model.json: step: has neither start_id nor start_zero"},
      {"unk past the vocabulary", Luong, [](auto& b) { b.spec().mutable_source()->set_unk_id(23); },
       "model.json: source.unk_id is 23, expected 0 to 22"},
      {"1025 ops", Luong,
       [](auto& b) {
         for (int i = 0; i < 1019; ++i) {
           Op* op = b.spec().mutable_step()->add_ops();
           op->set_name(absl::StrCat("x", i));
           *op->mutable_concat()->add_inputs() = kE;
         }
       },
       "model.json: step: 1025 ops, more than the bound of 1024"},
      {"65 inputs", Luong,
       [](auto& b) {
         for (int i = 0; i < 65; ++i) *Step(b, 3)->mutable_linear()->add_inputs() = kE;
       },
       "model.json: step.a (linear): reads more than 64 values"},
      {"a value that doubles for ever", Various,
       [](auto& b) {
         for (int i = 0; i < 30; ++i) {
           Op* op = b.spec().mutable_step()->add_ops();
           op->set_name(absl::StrCat("x", i));
           for (int k = 0; k < 2; ++k) {
             *op->mutable_concat()->add_inputs() = i == 0 ? kE : absl::StrCat("x", i - 1);
           }
         }
       },
       "model.json: step.x17 (concat): the inputs' sizes sum to 1572864, more than the bound of 1048576"},
  });
}

TEST(CheckProgram, RefusesCellsWhosePartsDoNotBelongTogether) {
  const std::string cell = "model.json: step.s1 (cell): ";
  const std::string transition = "model.json: encoder.f (rnn): transitions 1: ";
  ExpectFaults({
      {"function that is none", NormedGru,
       [](auto& b) { FirstCell(b)->set_function(static_cast<model::v1::Function>(9)); },
       cell + "function is 9, expected a FUNCTION"},
      {"weight_state of an SSRU", NormedSsru, [](auto& b) { FirstCell(b)->set_weight_state("decoder.1.weight_input"); },
       cell + "weight_state is set, but an SSRU has none"},
      {"bias_state of an SSRU", NormedSsru, [](auto& b) { FirstCell(b)->set_bias_state("decoder.1.bias_input"); },
       cell + "bias_state is set, but an SSRU has none"},
      {"SSRU without input", NormedSsru, [](auto& b) { Step(b, 1)->mutable_cell()->clear_inputs(); },
       cell + "has no input, which an SSRU needs"},
      {"SSRU with a transition", NormedSsru,
       [](auto& b) { *Encoder(b, 1)->mutable_rnn()->add_transitions() = Encoder(b, 1)->rnn().cell(); },
       transition + "has no input, which an SSRU needs"},
      {"SSRU of an odd number of rows", NormedSsru,
       [](auto& b) {
         b.AddTensor("decoder.1.weight_input", {17, 13});
       },
       cell + "weight_input decoder.1.weight_input has 17 rows, expected 2 blocks, f and x"},
      {"SSRU on a state without c", Students, [](auto& b) { Step(b, 2)->mutable_cell()->set_state("y0"); },
       "model.json: step.h1 (cell): state \"y0\" has no part c, which an LSTM and an SSRU need"},
      {"transition of another kind", NormedLstm, [](auto& b) { Transition(b)->set_kind(model::v1::CELL_KIND_RNN); },
       transition + "kind is CELL_KIND_RNN, expected CELL_KIND_LSTM as the cell's"},
      {"transition of another size", NormedLstm, [](auto& b) { *Transition(b) = Step(b, 2)->cell().cell(); },
       transition + "has a state of size 8, expected 5 as the cell's"},
      {"transition with an input", NormedLstm,
       [](auto& b) { Transition(b)->set_weight_input("encoder.forward.weight_input"); },
       transition + "weight_input \"encoder.forward.weight_input\" is set, but the cell has no inputs"},
  });
}

TEST(CheckProgram, RefusesNormsInsideCellsWhosePartsDoNotBelongTogether) {
  const std::string cell = "model.json: step.s1 (cell): norm: ";
  ExpectFaults({
      {"no groups", NormedLstm, [](auto& b) { FirstNorm(b)->clear_groups(); },
       cell + "groups is 0, expected a NORM_GROUPS"},
      {"gates of an LSTM", NormedLstm, [](auto& b) { FirstNorm(b)->set_groups(model::v1::NORM_GROUPS_GATES); },
       cell + "NORM_GROUPS_GATES, but the cell is no GRU"},
      {"no epsilon", NormedLstm, [](auto& b) { FirstNorm(b)->clear_epsilon(); },
       cell + "epsilon is 0, expected above 0"},
      {"no input_scale", NormedLstm, [](auto& b) { FirstNorm(b)->clear_input_scale(); },
       "model.json: step.s1 (cell): norm.input_scale is missing, expected the name of a tensor"},
      {"input_scale of another size", NormedLstm, [](auto& b) { b.AddTensor("decoder.1.input_scale", {8}); },
       "model.json: step.s1 (cell): norm.input_scale decoder.1.input_scale is [8], expected [32]"},
      {"input_scale without input", NormedLstm,
       [](auto& b) {
         Step(b, 2)->mutable_cell()->mutable_cell()->mutable_norm()->set_input_scale("decoder.1.input_scale");
       },
       "model.json: step.s (cell): norm: input_scale and input_bias belong to inputs, and the cell has none"},
      {"neither input nor state_scale", NormedLstm,
       [](auto& b) {
         auto* norm = Step(b, 2)->mutable_cell()->mutable_cell()->mutable_norm();
         norm->clear_state_scale();
         norm->clear_state_bias();
       },
       "model.json: step.s (cell): norm.state_scale is missing, expected the name of a tensor"},
      {"state_bias without state_scale", NormedLstm, [](auto& b) { FirstNorm(b)->clear_state_scale(); },
       cell + "state_bias needs state_scale"},
      {"sum of a GRU", NormedGru, [](auto& b) { FirstNorm(b)->clear_state_scale(); },
       cell + "state_scale is missing: a GRU's sum is not normalised"},
      {"state_scale of an SSRU", NormedSsru, [](auto& b) { FirstNorm(b)->set_state_scale("decoder.1.input_scale"); },
       cell + "state_scale and state_bias belong to a state's product, and an SSRU has none"},
      {"cell_scale of a GRU", NormedGru, [](auto& b) { FirstNorm(b)->set_cell_scale("decoder.1.input_scale"); },
       cell + "cell_scale and cell_bias belong to an LSTM"},
      {"cell_bias without cell_scale", NormedLstm, [](auto& b) { FirstNorm(b)->clear_cell_scale(); },
       cell + "cell_bias needs cell_scale"},
      {"cell_carried without cell_scale", NormedGru, [](auto& b) { FirstNorm(b)->set_cell_carried(true); },
       cell + "cell_carried needs cell_scale"},
  });
}

TEST(CheckProgram, RefusesPositionsAndSelfAttentionThatDoNotFit) {
  const auto attend = [](BundleBuilder& b) { return Encoder(b, 2)->mutable_self_attend(); };
  const std::string a1 = "model.json: encoder.a1 (self_attend): ";
  ExpectFaults({
      {"position of an odd size", Luong, [](auto& b) { Step(b, 4)->mutable_position()->set_input("a"); },
       "model.json: step.r (position): input a has size 7, expected an even one of at least 4"},
      {"position of a vector in the encoder", Luong,
       [](auto& b) { Encoder(b, 3)->mutable_position()->set_input("f1.h"); },
       "model.json: encoder.m1 (position): input f1.h is a vector, which has no position in the encoder"},
      {"position in init", Luong, [](auto& b) { Init(b, 0)->mutable_position()->set_input("final"); },
       "model.json: init.c0 (position): position stands only in the encoder and the step program"},
      {"self_attend in the step program", Luong, [](auto& b) { Step(b, 4)->mutable_self_attend()->set_input("m"); },
       "model.json: step.r (self_attend): this op stands only in the encoder program"},
      {"self_attend over a vector", Luong, [](auto& b) { Encoder(b, 3)->mutable_self_attend()->set_input("f1.h"); },
       "model.json: encoder.m1 (self_attend): input f1.h is a vector, expected a sequence"},
      {"heads that do not divide", Students, [=](auto& b) { attend(b)->set_heads(4); },
       a1 + "heads is 4, which does not divide l0's size 6"},
      {"negative heads", Students, [=](auto& b) { attend(b)->set_heads(-1); }, a1 + "heads is -1, expected 1 to 4096"},
      {"no key_weight", Students, [=](auto& b) { attend(b)->clear_key_weight(); },
       a1 + "key_weight is missing, expected the name of a tensor"},
      {"projection that is not square", Students,
       [](auto& b) {
         b.AddTensor("encoder.1.self.output_weight", {6, 8});
       },
       a1 + "output_weight encoder.1.self.output_weight is [6,8], expected [6,6]"},
      {"bias of another size", Students, [](auto& b) { b.AddTensor("encoder.1.self.value_bias", {5}); },
       a1 + "value_bias encoder.1.self.value_bias is [5], expected [6]"},
  });
}

TEST(CheckProgram, RefusesOpsAndTypesThatStandInTheWrongPlace) {
  ExpectFaults({
      {"cell in the encoder", Luong, [](auto& b) { *Encoder(b, 1) = *Step(b, 1); },
       "model.json: encoder.h (cell): this op stands only in the step program"},
      {"rnn in the step program", Luong,
       [](auto& b) {
         *Step(b, 4) = *Encoder(b, 1);
         Step(b, 4)->mutable_rnn()->set_input("m");
       },
       "model.json: step.f1 (rnn): this op stands only in the encoder program"},
      {"embed in init", Luong, [](auto& b) { *Init(b, 0) = *Encoder(b, 0); },
       "model.json: init.x (embed): embed stands only in the encoder and the step program"},
      {"pool in the step program", Luong, [](auto& b) { Step(b, 4)->mutable_pool()->set_input("m"); },
       "model.json: step.r (pool): pool stands only in the encoder and the init program"},
      {"sequence in the step program", Luong, [](auto& b) { Step(b, 3)->mutable_linear()->set_inputs(0, "m"); },
       "model.json: step.a (linear): input m is a sequence, expected a vector"},
      {"memory that is no sequence", Luong, [](auto& b) { LuongAttend(b)->set_memory("h"); },
       "model.json: step.c (attend): memory h is a vector, expected a sequence"},
      {"vector where the encoder reads", Luong, [](auto& b) { Encoder(b, 4)->mutable_rnn()->set_input("f1.h"); },
       "model.json: encoder.f2 (rnn): input f1.h is a vector, expected a sequence"},
      {"vectors and sequences together", Luong, [](auto& b) { Encoder(b, 3)->mutable_concat()->set_inputs(1, "f1.h"); },
       "model.json: encoder.m1 (concat): input f1.h is a vector, the ones before it are not"},
      {"distribution as a vector", Luong, [](auto& b) { Step(b, 1)->mutable_cell()->set_inputs(1, "out'"); },
       "model.json: step.h (cell): input out' is a distribution, expected a vector"},
      {"output that is no distribution", Luong, [](auto& b) { b.spec().mutable_step()->set_output("r"); },
       "model.json: step.output: r is not made by an output op"},
      {"two outputs", Luong,
       [](auto& b) {
         *b.spec().mutable_step()->add_ops() = *Step(b, 5);
         Step(b, 6)->set_name("out2");
       },
       "model.json: step.out2 (output): a second output; the step program has exactly one"},
      {"no encoder outputs", Luong, [](auto& b) { b.spec().mutable_encoder()->clear_outputs(); },
       "model.json: encoder.outputs: is missing"},
      {"unknown encoder output", Luong, [](auto& b) { b.spec().mutable_encoder()->add_outputs("y"); },
       "model.json: encoder.outputs: \"y\" names no value of the encoder program"},
      {"encoder output twice", Luong, [](auto& b) { b.spec().mutable_encoder()->add_outputs("m"); },
       "model.json: encoder.outputs: m stands twice"},
      {"encoder output that nobody reads", Luong, [](auto& b) { b.spec().mutable_encoder()->add_outputs("m1"); },
       "model.json: encoder.outputs: m1 is read by neither the init nor the step program"},
      {"LSTM on a GRU's state", Various,
       [](auto& b) { Step(b, 1)->mutable_cell()->mutable_cell()->set_kind(model::v1::CELL_KIND_LSTM); },
       "model.json: step.s1 (cell): weight_state decoder.1.weight_state is [8,8], expected [32,8]"},
  });
}

TEST(CheckProgram, WantsEveryPrimedValueInitialisedOnce) {
  const auto initial = [](BundleBuilder& b, int i) { return b.spec().mutable_init()->mutable_initials(i); };
  ExpectFaults({
      {"missing", Luong, [](auto& b) { b.spec().mutable_init()->mutable_initials()->RemoveLast(); },
       "model.json: init.initials: has none for a, which the step program reads as a'"},
      {"twice, once by its other name", Luong,
       [](auto& b) { b.Merge(R"({"init": {"initials": [{"name": "h.h", "zero": true}]}})"); },
       "model.json: init.initials: h.h is given twice"},
      {"never read", Luong, [](auto& b) { b.Merge(R"({"init": {"initials": [{"name": "r", "zero": true}]}})"); },
       "model.json: init.initials \"r\": the step program never reads r'"},
      {"unknown", Luong, [=](auto& b) { initial(b, 0)->set_name("h'"); },
       "model.json: init.initials \"h'\": names no value of the step program"},
      {"from nowhere", Luong, [=](auto& b) { initial(b, 0)->set_from("x"); },
       "model.json: init.initials \"h\": from \"x\" names no value of the init program or the encoder's outputs"},
      {"from a sequence", Luong, [=](auto& b) { initial(b, 0)->set_from("m"); },
       "model.json: init.initials \"h\": from m is a sequence, expected a vector"},
      {"without a value", Luong, [=](auto& b) { initial(b, 0)->clear_value(); },
       "model.json: init.initials \"h\": has neither from nor zero"},
      {"not zero", Luong, [=](auto& b) { initial(b, 0)->set_zero(false); },
       "model.json: init.initials \"h\": zero is false, expected true or from instead"},
  });
}

TEST(CheckProgram, RefusesAttendsWhosePartsDoNotBelongTogether) {
  const auto attend = [](BundleBuilder& b) { return Step(b, 2)->mutable_attend(); };
  const std::string c = "model.json: step.c (attend): ";
  ExpectFaults({
      {"attend in the encoder", Luong, [](auto& b) { *Encoder(b, 1) = *Step(b, 2); },
       "model.json: encoder.c (attend): attend stands only in the init and the step program"},
      {"location without a limit", Location, [](auto& b) { b.spec().mutable_limits()->clear_max_source_tokens(); },
       c + "SCORE_LOCATION needs limits.max_source_tokens, which model.json does not set"},
      {"fewer slots than source tokens", Location,
       [](auto& b) { b.spec().mutable_limits()->set_max_source_tokens(44); },
       c + "slots is 43, expected at least 44, which is limits.max_source_tokens"},
      {"no slots", Location, [=](auto& b) { attend(b)->clear_slots(); },
       c + "slots is 0, expected at least 1, and at most 1048576 for all heads together"},
      {"too many slots", Location, [=](auto& b) { attend(b)->set_slots(1 << 20); },
       c + "slots is 1048576, expected at least 1, and at most 1048576 for all heads together"},
      {"slots of another size", Location, [=](auto& b) { attend(b)->set_slots(50); },
       c + "query_weight attention.query_weight is [86,8], expected [100,8]"},
      {"location with keys", Location, [=](auto& b) { attend(b)->set_keys("m"); },
       c + "SCORE_LOCATION has no keys and no scale"},
      {"location without query_weight", Location, [=](auto& b) { attend(b)->clear_query_weight(); },
       c + "query_weight is missing, which SCORE_LOCATION needs"},
      {"slots without location", Covered, [=](auto& b) { attend(b)->set_slots(50); },
       c + "slots is set, but the score is not SCORE_LOCATION"},
      {"normalizer that is none", Covered,
       [=](auto& b) { attend(b)->set_normalizer(static_cast<model::v1::Normalizer>(7)); },
       c + "normalizer is 7, expected a NORMALIZER"},
      {"coverage without its weight", Covered, [=](auto& b) { attend(b)->clear_coverage_weight(); },
       c + "coverage and coverage_weight need each other"},
      {"coverage of a dot score", Covered,
       [=](auto& b) {
         attend(b)->set_score(model::v1::SCORE_DOT);
         attend(b)->clear_v();
         attend(b)->clear_v_bias();
       },
       c + "coverage belongs to SCORE_ADDITIVE"},
      {"coverage that is a vector", Covered, [=](auto& b) { attend(b)->set_coverage("h"); },
       c + "coverage h is a vector, expected one float per source position"},
      {"coverage of other heads", Covered,
       [=](auto& b) {
         *b.spec().mutable_step()->add_ops() = *Step(b, 2);
         attend(b)->set_heads(1);
         Step(b, 5)->set_name("d");
         attend(b)->set_coverage("d.weights'");
       },
       c + "coverage d.weights' has 2 heads, expected 1"},
      {"coverage_weight of another size", Covered, [](auto& b) { b.AddTensor("attention.coverage_weight", {7}); },
       c + "coverage_weight attention.coverage_weight is [7], expected [8]"},
      {"keys that are a vector", Covered, [=](auto& b) { attend(b)->set_keys("h"); },
       c + "keys h is a vector, expected a sequence"},
      {"weights as a vector", Luong, [](auto& b) { Step(b, 3)->mutable_linear()->set_inputs(0, "c.weights"); },
       "model.json: step.a (linear): input c.weights is one float per source position, expected a vector"},
      {"weights added to a vector", Covered,
       [](auto& b) { b.Merge(R"({"step": {"ops": [{"name": "z", "add": {"inputs": ["h", "c.weights"]}}]}})"); },
       "model.json: step.z (add): input c.weights is one float per source position, the ones before it are not"},
      {"positions that start from a vector", Covered,
       [](auto& b) { b.spec().mutable_init()->mutable_initials(2)->set_from("c0"); },
       "model.json: init.initials \"cov\": from c0 is a vector, expected one float per source position"},
      {"sequence in init", Luong, [](auto& b) { Init(b, 0)->mutable_linear()->set_inputs(0, "m"); },
       "model.json: init.c0 (linear): input m is a sequence, expected a vector"},
  });
}

TEST(CheckProgram, RefusesCopiesThatDoNotFit) {
  const auto copy = [](BundleBuilder& b) { return Step(b, 8)->mutable_copy(); };
  const std::string out = "model.json: step.out (copy): ";
  ExpectFaults({
      {"copy in init", Copying, [](auto& b) { *Init(b, 0) = *Step(b, 8); },
       "model.json: init.out (copy): this op stands only in the step program"},
      {"generate that is a vector", Copying, [=](auto& b) { copy(b)->set_generate("readout"); },
       out + "generate readout is not the distribution of this step's output"},
      {"last step's distribution", Copying, [=](auto& b) { copy(b)->set_generate("vocabulary'"); },
       out + "generate vocabulary' is not the distribution of this step's output"},
      {"wide gate", Copying, [=](auto& b) { copy(b)->set_gate("s"); }, out + "gate s has size 8, expected 1"},
      {"energies", Copying, [=](auto& b) { copy(b)->set_attention("c.energies"); },
       out + "attention \"c.energies\" is not the weights of an attend"},
      {"two heads", Copying,
       [](auto& b) {
         Step(b, 3)->mutable_attend()->set_heads(2);
         Step(b, 3)->mutable_attend()->clear_coverage();
         Step(b, 3)->mutable_attend()->clear_coverage_weight();
         b.spec().mutable_init()->mutable_initials(3)->clear_from();
         b.spec().mutable_init()->mutable_initials(3)->set_zero(true);
       },
       out + "attention c.weights has 2 heads, expected 1"},
      {"masked id beyond the vocabulary", Copying, [=](auto& b) { copy(b)->add_masked_ids(19); },
       out + "masked_ids holds 19, expected 0 to 18"},
      {"masked id twice", Copying,
       [=](auto& b) {
         copy(b)->add_masked_ids(4);
         copy(b)->add_masked_ids(4);
       },
       out + "masked_ids holds 4 twice"},
      {"everything masked", Copying,
       [=](auto& b) {
         for (int id = 0; id < 19; ++id) copy(b)->add_masked_ids(id);
       },
       out + "masked_ids leaves no id"},
      {"a copy that is not the output", Copying, [](auto& b) { b.spec().mutable_step()->set_output("vocabulary"); },
       out + "is not step.output, which is vocabulary"},
      {"a second output", Copying,
       [](auto& b) {
         *b.spec().mutable_step()->add_ops() = *Step(b, 7);
         Step(b, 9)->set_name("other");
       },
       "model.json: step.other (output): a second output; the step program has exactly one"},
      {"copying from a shortlist", SameCopying, [](auto& b) { b.spec().mutable_shortlist()->set_file("lex.bin"); },
       out + "does not go together with a shortlist"},
  });
}

}  // namespace
}  // namespace heed
