#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/models/fake_model.h"

namespace heed {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Wanted {
  std::optional<std::string> name, version, source, target;
};

ModelChoice Choice(const Wanted& wanted) {
  return {.name = wanted.name,
          .version = wanted.version,
          .source_language = wanted.source,
          .target_language = wanted.target};
}

std::unique_ptr<Registry> Models() {
  v1::ModelSummary failed;
  failed.set_folder("broken");
  return FakeRegistry({{.name = "koen", .version = "1"},
                       {.name = "koen", .version = "2"},
                       {.name = "esen", .source_language = "es"},
                       {.name = "sum", .task = v1::TASK_SUMMARIZE, .target_language = "ko"}},
                      {failed});
}

std::string Chosen(const Registry& registry, v1::Task task, const Wanted& wanted) {
  auto model = registry.Select(task, Choice(wanted));
  if (!model.ok()) return std::string(model.status().ToString());
  return (*model)->summary.name() + " " + (*model)->summary.version();
}

TEST(Select, NameVersionOrLanguagesChooseAModel) {
  const auto registry = Models();
  EXPECT_EQ(Chosen(*registry, v1::TASK_TRANSLATE, {.name = "koen", .version = "2"}), "koen 2");
  EXPECT_EQ(Chosen(*registry, v1::TASK_TRANSLATE, {.name = "esen"}), "esen 1");
  EXPECT_EQ(Chosen(*registry, v1::TASK_TRANSLATE, {.source = "ES", .target = "en"}), "esen 1");
  EXPECT_EQ(Chosen(*registry, v1::TASK_TRANSLATE, {.name = "koen", .version = "1", .source = "ko"}), "koen 1");
}

TEST(Select, TheOnlyModelOfATaskNeedsNoSelector) { EXPECT_EQ(Chosen(*Models(), v1::TASK_SUMMARIZE, {}), "sum 1"); }

TEST(Select, AnAmbiguityNamesTheCandidates) {
  const auto registry = Models();
  EXPECT_THAT(Chosen(*registry, v1::TASK_TRANSLATE, {}),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("koen 1"), HasSubstr("koen 2"), HasSubstr("esen 1"),
                    Not(HasSubstr("sum"))));
  EXPECT_THAT(Chosen(*registry, v1::TASK_TRANSLATE, {.name = "koen"}),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("koen 1"), HasSubstr("koen 2"), Not(HasSubstr("esen"))));
}

TEST(Select, AConflictBetweenNameAndLanguagesOrTaskIsInvalid) {
  const auto registry = Models();
  EXPECT_THAT(Chosen(*registry, v1::TASK_TRANSLATE, {.name = "esen", .source = "ko"}),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("esen 1 (es to en)")));
  EXPECT_THAT(Chosen(*registry, v1::TASK_TRANSLATE, {.name = "sum"}),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("a translation model: "), HasSubstr("koen 1")));
  EXPECT_THAT(Chosen(*registry, v1::TASK_TRANSLATE, {.version = "1"}),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("model.version")));
}

TEST(Select, WhatIsUnknownIsNotFoundAndTheServedModelsAreNamed) {
  const auto registry = Models();
  EXPECT_THAT(Chosen(*registry, v1::TASK_TRANSLATE, {.name = "nope\n"}),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr("\"nope\\n\""), HasSubstr("koen 1"), HasSubstr("esen 1")));
  EXPECT_THAT(Chosen(*registry, v1::TASK_TRANSLATE, {.name = "koen", .version = "9"}),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr("\"9\""), HasSubstr("koen 2")));
  EXPECT_THAT(Chosen(*registry, v1::TASK_TRANSLATE, {.source = "fi", .target = "sv"}),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr("\"fi\""), HasSubstr("koen 1 (ko to en)")));
  EXPECT_THAT(Chosen(*registry, v1::TASK_TRANSLATE, {.name = "broken"}),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr("failed to load")));
}

TEST(Select, FindTakesTheOnlyVersionAndListsSeveral) {
  const auto registry = Models();
  EXPECT_EQ((*registry->Find("esen", std::nullopt))->summary.name(), "esen");
  EXPECT_EQ((*registry->Find("koen", "2"))->summary.version(), "2");
  EXPECT_EQ(registry->Find("koen", std::nullopt).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(registry->Find("koen", std::nullopt).status().message()), HasSubstr("koen 2"));
  EXPECT_EQ(registry->Find("koen", "7").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(registry->Find("x", std::nullopt).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(registry->Find("", std::nullopt).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Select, SummariesListReadyModelsByNameAndFailedOnesLast) {
  const auto registry = Models();
  std::vector<std::string> listed;
  for (const v1::ModelSummary& summary : registry->summaries()) {
    listed.push_back(summary.state() == v1::MODEL_STATE_READY ? summary.name() : "failed " + summary.folder());
  }
  EXPECT_THAT(listed, ::testing::ElementsAre("esen", "koen", "koen", "sum", "failed broken"));
}

}  // namespace
}  // namespace heed
