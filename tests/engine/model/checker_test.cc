#include "engine/model/checker.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/attention_models.h"

namespace heed {
namespace {

using model::v1::Op;

const Value& ValueOf(const Program& program, const std::string& name) {
  for (const Value& value : program.values) {
    if (value.name == name) return value;
  }
  ADD_FAILURE() << "no value " << name;
  static const Value none;
  return none;
}

template <typename NodeType>
const NodeType* NodeAt(const Program& program, std::size_t index) {
  const NodeType* node = index < program.nodes.size() ? std::get_if<NodeType>(&program.nodes[index]) : nullptr;
  EXPECT_NE(node, nullptr) << "node " << index;
  return node;
}

// What the engine relies on: references in range and to values that have been made.
void ExpectSound(const Program& program) {
  std::vector<bool> made(program.values.size());
  for (std::size_t i = 0; i < made.size(); ++i) {
    made[i] = program.values[i].encoder_value >= 0;
    EXPECT_GT(program.values[i].size, 0) << program.values[i].name;
  }
  const auto read = [&](const Ref& ref) {
    ASSERT_GE(ref.value, 0);
    ASSERT_LT(ref.value, static_cast<int>(made.size()));
    EXPECT_TRUE(ref.previous || made[ref.value]) << program.values[ref.value].name;
  };
  const auto read_all = [&](const std::vector<Ref>& refs) { std::for_each(refs.begin(), refs.end(), read); };
  const auto make = [&](int value) {
    if (value >= 0) made.at(value) = true;
  };
  for (const Node& any : program.nodes) {
    std::visit(
        [&](const auto& node) {
          using T = std::decay_t<decltype(node)>;
          if constexpr (requires { node.inputs; }) read_all(node.inputs);
          if constexpr (requires { read(node.input); }) {
            read(node.input);
          } else if constexpr (requires { node.input; }) {
            read({node.input});
          }
          if constexpr (std::is_same_v<T, CellNode>) {
            read(node.state_h);
            if (node.cell.type == CellType::kLstm || node.cell.type == CellType::kSsru) read(node.state_c);
          }
          if constexpr (std::is_same_v<T, AttendNode>) {
            read_all(node.query);
            read({node.memory});
            if (node.keys >= 0) read({node.keys});
            if (node.coverage.value >= 0) read(node.coverage);
            make(node.out_weights);
            make(node.out_energies);
          }
          if constexpr (std::is_same_v<T, CopyNode>) read_all({{node.generate}, node.gate, node.attention});
          if constexpr (std::is_same_v<T, LerpNode>) read_all({node.gate, node.a, node.b});
          if constexpr (requires { node.out; }) make(node.out);
          if constexpr (requires { node.out_h; }) make(node.out_h);
          if constexpr (requires { node.out_c; }) make(node.out_c);
        },
        any);
  }
  for (std::size_t i = 0; i < made.size(); ++i) EXPECT_TRUE(made[i]) << program.values[i].name << " is never made";
}

TEST(CheckProgram, AcceptsEveryReadyMadeModel) {
  const std::pair<const char*, BundleBuilder> models[] = {
      {"LuongLstm", LuongLstm()},
      {"BahdanauGru", BahdanauGru()},
      {"NoAttention", NoAttention()},
      {"Marian", Marian()},
      {"Variety", Variety()},
      {"PointerGenerator", PointerGenerator()},
      {"CopyAttention", CopyAttention(true)},
      {"Location", AttentionModel({.score = "LOCATION"})},
      {"Arithmetic", AttentionModel({.coverage = true, .arithmetic = true, .in_init = true})},
      {"Shortlisted", Shortlisted()},
      {"Student", Student()},
      {"CellModel", CellModel({.kind = "SSRU"})}};
  for (const auto& [name, builder] : models) {
    SCOPED_TRACE(name);
    const Bundle bundle = builder.Build();
    const auto checked = CheckProgram(bundle);
    ASSERT_TRUE(checked.ok()) << checked.status();
    ExpectSound(checked->encoder);
    ExpectSound(checked->init);
    ExpectSound(checked->step);
    EXPECT_EQ(checked->step.values[checked->output].type, ValueType::kDistribution);
  }
}

TEST(CheckProgram, ResolvesTheLuongProgram) {
  const Bundle bundle = LuongLstm().Build();
  const auto checked = CheckProgram(bundle);
  ASSERT_TRUE(checked.ok()) << checked.status();
  const auto& values = checked->step.values;
  ASSERT_EQ(checked->step.nodes.size(), 6u);

  const auto* cell = NodeAt<CellNode>(checked->step, 1);
  EXPECT_EQ(cell->cell.type, CellType::kLstm);
  EXPECT_EQ(cell->cell.hidden, 10);
  EXPECT_EQ(cell->cell.input_size, 6 + 7);
  EXPECT_EQ(cell->cell.weight_input, &bundle.tensors.at("decoder.weight_input"));
  EXPECT_EQ(values[cell->inputs[1].value].name, "a");
  EXPECT_TRUE(cell->inputs[1].previous);
  EXPECT_FALSE(cell->inputs[0].previous);
  EXPECT_EQ(cell->state_h.value, cell->out_h);
  EXPECT_EQ(cell->state_c.value, cell->out_c);
  EXPECT_TRUE(cell->state_h.previous && cell->state_c.previous);

  const auto* attend = NodeAt<AttendNode>(checked->step, 2);
  EXPECT_EQ(attend->score, AttendNode::Score::kDot);
  EXPECT_EQ(attend->key_size, 10);
  EXPECT_EQ(attend->heads, 1);
  EXPECT_EQ(attend->query_weight, nullptr);
  EXPECT_EQ(values[attend->memory].name, "m");
  EXPECT_EQ(values[attend->memory].type, ValueType::kSequence);
  EXPECT_EQ(checked->encoder.values[values[attend->memory].encoder_value].name, "m");
  EXPECT_EQ(values[attend->out_weights].name, "c.weights");
  EXPECT_EQ(values[attend->out_weights].type, ValueType::kPositions);

  EXPECT_EQ(NodeAt<OutputNode>(checked->step, 5)->weight, NodeAt<EmbedNode>(checked->step, 0)->table);
  EXPECT_EQ(checked->start_id, 1);
  EXPECT_FALSE(checked->start_zero);
}

TEST(CheckProgram, GivesEachPrimedValueItsFirstOne) {
  const Bundle bundle = LuongLstm().Build();
  const auto checked = CheckProgram(bundle);
  ASSERT_TRUE(checked.ok()) << checked.status();
  std::map<std::string, std::string> primed;
  for (const Primed& p : checked->primed) {
    primed[checked->step.values[p.step_value].name] = p.init_value < 0 ? "" : checked->init.values[p.init_value].name;
  }
  EXPECT_THAT(primed, ::testing::ElementsAre(std::pair("a", ""), std::pair("h", "final"), std::pair("h.c", "c0")));
}

TEST(CheckProgram, ImportsOnlyWhatAProgramReads) {
  const Bundle bundle = LuongLstm().Build();
  const auto checked = CheckProgram(bundle);
  ASSERT_TRUE(checked.ok()) << checked.status();
  ASSERT_EQ(checked->init.values.size(), 2u);
  EXPECT_EQ(checked->init.values[0].name, "final");
  EXPECT_GE(checked->init.values[0].encoder_value, 0);
  EXPECT_EQ(checked->step.values[0].name, "m");
  for (std::size_t i = 1; i < checked->step.values.size(); ++i) EXPECT_EQ(checked->step.values[i].encoder_value, -1);
}

TEST(CheckProgram, TakesTheStateOfAnotherCell) {
  const Bundle bundle = Marian().Build();
  const auto checked = CheckProgram(bundle);
  ASSERT_TRUE(checked.ok()) << checked.status();
  const auto* first = NodeAt<CellNode>(checked->step, 1);
  const auto* second = NodeAt<CellNode>(checked->step, 3);
  EXPECT_EQ(first->state_h.value, second->out_h);
  EXPECT_TRUE(first->state_h.previous);
  EXPECT_EQ(second->state_h.value, first->out_h);
  EXPECT_FALSE(second->state_h.previous);
  EXPECT_TRUE(first->cell.reset_before);
  EXPECT_TRUE(checked->start_zero);
  EXPECT_EQ(checked->primed.size(), 1u);
}

TEST(CheckProgram, SplitsHeadsAndProjectsValues) {
  const Bundle bundle = Variety().Build();
  const auto checked = CheckProgram(bundle);
  ASSERT_TRUE(checked.ok()) << checked.status();
  const auto* attend = NodeAt<AttendNode>(checked->step, 3);
  EXPECT_EQ(attend->heads, 2);
  EXPECT_EQ(attend->key_size, 8);
  EXPECT_EQ(attend->value_size, 8);
  EXPECT_FLOAT_EQ(attend->scale, 0.7f);
  EXPECT_EQ(checked->step.values[attend->out_weights].size, 2);
  EXPECT_EQ(ValueOf(checked->encoder, "m").type, ValueType::kSequence);
  EXPECT_EQ(NodeAt<CellNode>(checked->step, 2)->cell.input_size, 0);
}

TEST(CheckProgram, TellsThePrimedSizeThatOnlyLaterOpsFix) {
  BundleBuilder b = NoAttention();
  // y = x' and x = y + h: x's size follows from h, y's from x.
  auto* ops = b.spec().mutable_step()->mutable_ops();
  const Op out = ops->Get(2);
  ops->RemoveLast();
  b.Merge(R"({"step": {"ops": [
    {"name": "y", "activation": {"input": "x'", "function": "FUNCTION_IDENTITY"}},
    {"name": "x", "add": {"inputs": ["y", "h"]}}]}, "init": {"initials": [{"name": "x", "zero": true}]}})");
  *ops->Add() = out;
  const Bundle bundle = b.Build();
  const auto checked = CheckProgram(bundle);
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_EQ(ValueOf(checked->step, "y").size, 8);
}

}  // namespace
}  // namespace heed
