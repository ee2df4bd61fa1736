#include "server/scheduler/model_table.h"

#include <gtest/gtest.h>

namespace heed {
namespace {

// Of two workers, whose parts the test plays.
class ModelTableTest : public ::testing::Test {
 protected:
  ScheduledModel* Add() {
    return table_.Add([]() -> absl::StatusOr<std::unique_ptr<StepEngine>> { return nullptr; }, nullptr);
  }
  void Make(ScheduledModel* model) {
    for (int worker = 0; worker < 2; ++worker) {
      const ModelTable::Change change = table_.Next(worker);
      ASSERT_EQ(change.model, model);
      ASSERT_TRUE(change.make);
      table_.OnTried(model, worker, absl::OkStatus());
    }
  }
  // Does what the worker is to do next, which is to free this model's engine; whether it was the last.
  bool Free(ScheduledModel* model, int worker) {
    const ModelTable::Change change = table_.Next(worker);
    EXPECT_EQ(change.model, model);
    EXPECT_FALSE(change.make);
    std::unique_ptr<ScheduledModel> last = table_.OnFreed(model, worker);
    if (last == nullptr) return false;
    Release(std::move(last));
    return true;
  }

  RunQueue queue_{{}};
  ModelTable table_{2, &queue_};
  int gone_ = 0;
};

TEST_F(ModelTableTest, AModelIsMadeOnceEveryWorkerHasTried) {
  ScheduledModel* const model = Add();
  EXPECT_FALSE(ModelTable::IsMade(*model));
  Make(model);
  EXPECT_TRUE(ModelTable::IsMade(*model));
  EXPECT_EQ(table_.Next(0).model, nullptr);
  EXPECT_EQ(table_.Find(model->id), model);
}

TEST_F(ModelTableTest, WorkersHearOfEachChangeByTheVersion) {
  std::uint64_t version = table_.version();
  const auto changed = [&] { return std::exchange(version, table_.version()) != table_.version(); };
  ScheduledModel* const model = Add();
  EXPECT_TRUE(changed());
  Make(model);
  EXPECT_FALSE(changed());
  model->items = 1;
  table_.OnIdle(*model);
  EXPECT_FALSE(changed()) << "it is not retired";
  table_.Retire(model, nullptr);
  EXPECT_FALSE(changed()) << "it has work";
  model->items = 0;
  table_.OnIdle(*model);
  EXPECT_TRUE(changed());
}

TEST_F(ModelTableTest, ARetiredModelGoesOnceItsWorkIsOverAndEveryEngineIsFreed) {
  ScheduledModel* const model = Add();
  Make(model);
  model->items = 1;
  table_.Retire(model, [this] { ++gone_; });
  EXPECT_EQ(table_.Next(0).model, nullptr) << "it has work";
  model->items = 0;
  const ModelId id = model->id;
  EXPECT_FALSE(Free(model, 1));
  EXPECT_EQ(table_.Next(1).model, nullptr);
  EXPECT_EQ(gone_, 0);
  EXPECT_TRUE(Free(model, 0));
  EXPECT_EQ(gone_, 1);
  EXPECT_EQ(table_.Find(id), nullptr);
  EXPECT_NE(Add()->id, id) << "no id is used twice";
}

TEST_F(ModelTableTest, EnginesAreFreedBeforeOthersAreMade) {
  ScheduledModel* const first = Add();
  Make(first);
  ScheduledModel* const second = Add();
  table_.Retire(first, nullptr);
  EXPECT_FALSE(Free(first, 0));
  EXPECT_EQ(table_.Next(0).model, second);
  EXPECT_TRUE(table_.Next(0).make);
}

TEST_F(ModelTableTest, WhereOneWorkerCouldNotMakeItsEngineAllAreFreed) {
  ScheduledModel* const model = Add();
  table_.OnTried(model, 0, absl::ResourceExhaustedError("no room"));
  EXPECT_FALSE(ModelTable::IsMade(*model));
  table_.OnTried(model, 1, absl::OkStatus());
  EXPECT_TRUE(ModelTable::IsMade(*model));
  EXPECT_EQ(model->failure.message(), "no room");
  table_.Retire(model, [this] { ++gone_; });
  EXPECT_FALSE(Free(model, 0));
  EXPECT_TRUE(Free(model, 1));
  EXPECT_EQ(gone_, 1);
  EXPECT_TRUE(table_.all().empty());
}

}  // namespace
}  // namespace heed
