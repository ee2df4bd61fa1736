// No value of the source program is overwritten before its last reader, and layers do share.
#include "engine/run/share_buffers.h"

#include <gtest/gtest.h>

#include "engine/model/checker.h"
#include "engine/run/compile.h"
#include "engine/run/op_values.h"
#include "tests/support/test_models.h"

namespace heed {
namespace {

CompiledModel CompileSmall(const BundleBuilder& builder, std::int64_t max_table_bytes) {
  const Bundle bundle = builder.Build();
  const auto program = CheckProgram(bundle);
  EXPECT_TRUE(program.ok()) << program.status();
  auto model = Compile(*program, {.eos_id = 2, .max_table_bytes = max_table_bytes, .max_positions = 20});
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

TEST(ShareBuffers, KeepsEveryValueUntilItsLastReader) {
  for (const std::int64_t table_bytes : {std::int64_t{1} << 20, std::int64_t{0}}) {
    for (const auto& builder : {LuongLstm(), BahdanauGru(), NoAttention(), Marian(), Variety(), Student()}) {
      const CompiledModel model = CompileSmall(builder, table_bytes);
      const BufferPlan plan = ShareBuffers(model);
      std::vector<int> holds(plan.buffers.size(), -1);
      const auto expect_there = [&](int value) {
        ASSERT_GE(plan.of_slot[value], 0) << "value " << value << " is never made";
        EXPECT_EQ(holds[plan.of_slot[value]], value) << "value " << value << " is overwritten";
      };
      for (const Op& op : model.source_ops) {
        ForEachMade(op, [&](int value) {
          const BufferPlan::Place& place = plan.buffers[plan.of_slot[value]];
          EXPECT_EQ(place.type, model.source_slots[value].type);
          EXPECT_GE(place.size, model.source_slots[value].size);
          holds[plan.of_slot[value]] = value;
        });
        // After its outputs are there: what an op reads must not lie where it writes.
        ForEachSourceRead(op, [&](Ref ref) { expect_there(ref.value); });
      }
      for (const Kept& kept : model.sequences) expect_there(kept.value);
      for (const Kept& kept : model.vectors) expect_there(kept.value);
    }
  }
}

TEST(ShareBuffers, HoldsFewSequencesAtOnceHoweverManyLayersThereAre) {
  const CompiledModel model = CompileSmall(Student({.embedding = 8}), 0);
  int values = 0, buffers = 0;
  for (const Slot& slot : model.source_slots) values += slot.type == ValueType::kSequence ? 1 : 0;
  for (const auto& place : ShareBuffers(model).buffers) buffers += place.type == ValueType::kSequence ? 1 : 0;
  EXPECT_GT(values, 16);
  // A layer needs three at most; the decoder's keys and values are kept.
  EXPECT_LE(buffers, 3 + static_cast<int>(model.sequences.size()));
}

}  // namespace
}  // namespace heed
