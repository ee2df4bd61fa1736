// Sets of models that change: who finds what, and when a model is nobody's any more.
#include "server/models/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/server/models/fake_model.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Versions(const std::vector<v1::ModelSummary>& summaries) {
  std::vector<std::string> versions;
  for (const v1::ModelSummary& summary : summaries) versions.push_back(summary.version());
  return versions;
}

TEST(Registry, AModelIsFoundOnceItIsAddedAndUntilItIsRetired) {
  const auto registry = FakeRegistry({{.version = "1"}});
  const auto before = registry->set();
  const auto added = registry->Add(FakeModel({.version = "0"}));
  ASSERT_TRUE(added.ok()) << added.status();
  EXPECT_EQ((*added)->summary.state(), v1::MODEL_STATE_READY);
  EXPECT_EQ(*registry->Find("echo", "0"), *added);
  EXPECT_THAT(Versions(registry->summaries()), ElementsAre("0", "1"));
  EXPECT_THAT(Versions(before->summaries()), ElementsAre("1")) << "a set does not change";
  ASSERT_TRUE(registry->Retire("echo", "1", nullptr).ok());
  EXPECT_EQ(registry->Find("echo", "1").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(registry->Retire("echo", "1", nullptr).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ((*registry->Select(v1::TASK_TRANSLATE, ModelChoice{}))->summary.version(), "0") << "no longer ambiguous";
  EXPECT_TRUE(before->Find("echo", "1").ok());
}

TEST(Registry, ARetiredModelIsReleasedByItsLastHandle) {
  const auto registry = FakeRegistry({FakeModelOptions{}});
  ModelHandle request = registry->models()[0];
  const ServedModel* const address = request.get();
  int released = 0;
  ASSERT_TRUE(registry
                  ->Retire("echo", "1",
                           [&](std::unique_ptr<ServedModel> model) {
                             EXPECT_EQ(model.get(), address);
                             EXPECT_EQ(model->card, "# Echo\n");
                             ++released;
                           })
                  .ok());
  ModelHandle reply = request;
  request.reset();
  EXPECT_EQ(released, 0);
  EXPECT_EQ(reply->summary.name(), "echo");
  reply.reset();
  EXPECT_EQ(released, 1);
}

TEST(Registry, OneThatNobodyHoldsIsReleasedAtOnceWithoutALock) {
  const auto registry = FakeRegistry({FakeModelOptions{}});
  int served = -1;
  ASSERT_TRUE(registry
                  ->Retire("echo", "1",
                           [&](const std::unique_ptr<ServedModel>&) {
                             served = static_cast<int>(registry->models().size());
                             EXPECT_TRUE(registry->Add(FakeModel()).ok()) << "it may even change the set";
                           })
                  .ok());
  EXPECT_EQ(served, 0);
  EXPECT_EQ(registry->models().size(), 1u);
}

TEST(Registry, ANameAndVersionIsServedOnceButMayComeAgain) {
  const auto registry = FakeRegistry({FakeModelOptions{}});
  const ModelHandle old = registry->models()[0];
  const absl::Status twice = registry->Add(FakeModel()).status();
  EXPECT_EQ(twice.ToString(), "ALREADY_EXISTS: a model called echo version 1 is served already");
  EXPECT_EQ(registry->CheckAbsent("echo", "1"), twice);
  EXPECT_TRUE(registry->CheckAbsent("echo", "2").ok());
  ASSERT_TRUE(registry->Retire("echo", "1", nullptr).ok());
  const auto added = registry->Add(FakeModel());
  ASSERT_TRUE(added.ok()) << added.status();
  EXPECT_NE(*added, old);
}

TEST(Registry, ALabelPointsToAVersionThatIsServed) {
  const auto registry = FakeRegistry({{.version = "1"}, {.version = "2"}});
  EXPECT_EQ(registry->SetLabel("echo", "stable", "3").ToString(), "NOT_FOUND: no model is called echo version 3");
  ASSERT_TRUE(registry->SetLabel("echo", "stable", "1").ok());
  const auto before = registry->set();
  EXPECT_EQ((*before->FindLabel("echo", "stable"))->summary.version(), "1");
  EXPECT_EQ(registry->Retire("echo", "1", nullptr).ToString(),
            "FAILED_PRECONDITION: label stable of echo points to version 1; move it first");
  ASSERT_TRUE(registry->SetLabel("echo", "stable", "2").ok());
  EXPECT_EQ((*registry->set()->FindLabel("echo", "stable"))->summary.version(), "2");
  EXPECT_EQ((*before->FindLabel("echo", "stable"))->summary.version(), "1");
  EXPECT_TRUE(registry->Retire("echo", "1", nullptr).ok());
  ASSERT_TRUE(registry->SetLabel("echo", "stable", "").ok());
  const absl::Status none = registry->set()->FindLabel("echo", "stable").status();
  EXPECT_EQ(none.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(none.message()), HasSubstr("has no label"));
}

TEST(Registry, ReadersAlwaysFindOneOfTwoVersionsWhileTheyAreReplaced) {
  const auto registry = FakeRegistry({{.version = "0"}});
  std::atomic<bool> stop = false;
  std::atomic<int> released = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto set = registry->set();
        ASSERT_FALSE(set->models().empty());
        ASSERT_TRUE(set->Find("echo", set->models().back()->summary.version()).ok());
      }
    });
  }
  constexpr int kRounds = 100;
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_TRUE(registry->Add(FakeModel({.version = std::to_string(round + 1)})).ok());
    ASSERT_TRUE(
        registry
            ->Retire("echo", std::to_string(round), [&released](const std::unique_ptr<ServedModel>&) { ++released; })
            .ok());
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(released, kRounds);
}

}  // namespace
}  // namespace heed
