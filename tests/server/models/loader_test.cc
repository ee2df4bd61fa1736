// Real bundles on disk, loaded, served and refused.
#include "server/models/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "engine/base/status_macros.h"
#include "server/admission/admission.h"
#include "server/models/registry.h"
#include "tests/support/bundle_folder.h"
#include "tests/support/test_models.h"

namespace heed {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kPieces = 380;  // of tests/data/text/unigram.model

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

class LoaderTest : public ::testing::Test {
 protected:
  static BundleBuilder Builder(const std::string& name) {
    BundleBuilder builder = LuongLstm({.source_vocabulary = kPieces, .target_vocabulary = kPieces});
    builder.spec().set_name(name);
    builder.spec().set_segmentation(model::v1::SEGMENTATION_SENTENCE);
    return builder;
  }

  static BundleFileMap Files(const BundleBuilder& builder) {
    const std::string tokenizer = ReadFile("tests/data/text/unigram.model");
    return FilesOfBundle(builder.Build(), {{"source.spm", tokenizer}, {"target.spm", tokenizer}});
  }

  void Write(const std::string& folder, const BundleFileMap& files) {
    WriteBundleFolder(temp_.path() + "/" + folder, files);
  }

  absl::StatusOr<std::unique_ptr<Registry>> Load(const PrecisionSettings& precisions = {}) {
    HEED_ASSIGN_OR_RETURN(LoadedModels loaded, LoadModels(temp_.path(), {}, {}, precisions));
    return std::make_unique<Registry>(std::move(loaded.models), std::move(loaded.failed));
  }

  TempFolder temp_;
};

TEST_F(LoaderTest, AGoodBundleIsServedWithItsSummary) {
  Write("one", Files(Builder("luong")));
  auto registry = Load();
  ASSERT_TRUE(registry.ok()) << registry.status();
  ASSERT_EQ((*registry)->models().size(), 1U);
  const ModelHandle handle = (*registry)->models()[0];
  const ServedModel& model = *handle;
  EXPECT_EQ(model.summary.name(), "luong");
  EXPECT_EQ(model.summary.folder(), "one");
  EXPECT_EQ(model.summary.state(), v1::MODEL_STATE_READY);
  EXPECT_EQ(model.summary.task(), v1::TASK_TRANSLATE);
  EXPECT_EQ(model.summary.bundle_digest().size(), 64U);
  EXPECT_EQ(model.summary.max_source_tokens(), 512);
  EXPECT_EQ(model.summary.source_vocabulary_size(), kPieces);
  EXPECT_THAT(model.summary.attends(), ::testing::ElementsAre("c"));
  EXPECT_GT(model.summary.parameters(), 2 * 6 * kPieces);
  EXPECT_GT(model.summary.weight_bytes(), 0);
  EXPECT_GT(model.summary.load_seconds(), 0);
  EXPECT_TRUE(model.splitter.has_value());
  EXPECT_THAT(model.spec_json, HasSubstr("\"luong\""));
  EXPECT_FALSE(model.card.empty());
}

TEST_F(LoaderTest, AnInt8BundleHasAsManyParametersAndServesInEachPrecision) {
  BundleBuilder builder = Builder("int8");
  builder.Quantise(/*activation_scale=*/0.05f);
  Write("floats", Files(Builder("floats")));
  Write("int8", Files(builder));
  for (const Precision precision : {Precision::kFloat32, Precision::kInt8}) {
    PrecisionSettings settings;
    settings.all = precision;
    auto registry = Load(settings);
    ASSERT_TRUE(registry.ok()) << registry.status();
    ASSERT_EQ((*registry)->models().size(), 2U) << (*registry)->summaries()[1].error();
    EXPECT_EQ((*registry)->models()[0]->summary.parameters(), (*registry)->models()[1]->summary.parameters());
  }
}

TEST_F(LoaderTest, AServedModelAdmitsRealText) {
  Write("one", Files(Builder("luong")));
  auto registry = Load();
  ASSERT_TRUE(registry.ok()) << registry.status();
  TextRequest request;
  request.task = v1::TASK_TRANSLATE;
  request.texts = {"이 함수는 문자열을 돌려줍니다. 이 값은 바꿀 수 없습니다.", "</s>"};
  auto admitted = Admission(registry->get(), {}).Admit(std::move(request));
  ASSERT_TRUE(admitted.ok()) << admitted.status();
  ASSERT_EQ(admitted->texts[0].segments.size(), 2U);
  EXPECT_EQ(admitted->jobs.size(), 3U);
  // Text that looks like a special piece is text: only the last token of a segment is </s>.
  const std::vector<v1::Token>& tokens = admitted->texts[1].segments.at(0).source_tokens;
  ASSERT_GT(tokens.size(), 1U);
  for (std::size_t i = 0; i < tokens.size(); ++i) EXPECT_EQ(tokens[i].special(), i + 1 == tokens.size()) << i;
}

TEST_F(LoaderTest, ABadBundleAmongGoodOnesIsListedWithItsReasonAndTheGoodOnesServe) {
  Write("a-good", Files(Builder("good")));
  BundleFileMap cut = Files(Builder("cut"));
  const std::string sums = SumsOf(cut);
  cut["weights.safetensors"].resize(100);
  cut["SHA256SUMS"] = sums;
  Write("b-cut", cut);
  BundleFileMap tokenizer = Files(Builder("tokenizer"));
  tokenizer["source.spm"] = "no model";
  Write("c-tokenizer", tokenizer);
  Write("d-again", Files(Builder("good")));
  std::filesystem::create_directory(temp_.path() + "/notes");
  auto registry = Load();
  ASSERT_TRUE(registry.ok()) << registry.status();
  EXPECT_EQ((*registry)->models().size(), 1U);
  const auto& summaries = (*registry)->summaries();
  ASSERT_EQ(summaries.size(), 4U);
  EXPECT_EQ(summaries[0].folder(), "a-good");
  EXPECT_EQ(summaries[1].folder(), "b-cut");
  EXPECT_EQ(summaries[1].state(), v1::MODEL_STATE_FAILED);
  EXPECT_THAT(summaries[1].error(), HasSubstr("weights.safetensors"));
  EXPECT_EQ(summaries[2].name(), "tokenizer");
  EXPECT_THAT(summaries[2].error(), HasSubstr("source.spm"));
  EXPECT_EQ(summaries[3].folder(), "d-again");
  EXPECT_THAT(summaries[3].error(), HasSubstr("name good version 1"));
}

// What doubles from op to op is a few kilobytes on disk and gigabytes in an engine.
TEST_F(LoaderTest, ABundleThatTakesMoreThanIsLeftIsListedWithTheSumAndTheOthersServe) {
  Write("a-good", Files(Builder("good")));
  BundleBuilder huge = Doubling(13, {.source_vocabulary = kPieces, .target_vocabulary = kPieces, .embedding = 32});
  huge.spec().set_name("huge");
  Write("b-huge", Files(huge));
  Write("c-good", Files(Builder("better")));
  const auto loaded = LoadModels(temp_.path(), {}, {.max_bytes = 256 << 20, .engines = 2});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ(loaded->models.size(), 2U);
  const std::int64_t first = loaded->models[0]->memory_bytes;
  EXPECT_GT(first, 1 << 20);
  EXPECT_EQ(loaded->memory_bytes(), first + loaded->models[1]->memory_bytes);
  ASSERT_EQ(loaded->failed.size(), 1U);
  const v1::ModelSummary& failed = loaded->failed[0];
  EXPECT_EQ(failed.folder(), "b-huge");
  EXPECT_THAT(failed.error(),
              ::testing::MatchesRegex("needs [0-9]{10} bytes of memory, more than the bound of " +
                                      std::to_string((256 << 20) - first) +
                                      ": weights [0-9]+, tokenizers [0-9]+, texts [0-9]+, 2 engines of [0-9]{10}, or "
                                      "while it is loaded [0-9]{10}"));
}

TEST_F(LoaderTest, AModelCardOrParityFileThatIsNotUtf8IsRefusedByName) {
  Write("a-good", Files(Builder("good")));
  BundleFileMap files = Files(Builder("card"));
  files["README.md"] = "Mod\xE8le";
  Write("card", files);
  files = Files(Builder("parity"));
  files["parity.json"] = "{\"toolkit\": \"\xED\xA0\x80\"}";  // half a surrogate pair
  Write("parity", files);
  const auto registry = Load();
  ASSERT_TRUE(registry.ok()) << registry.status();
  ASSERT_EQ((*registry)->summaries().size(), 3U);
  EXPECT_EQ((*registry)->summaries()[1].error(), "README.md: is not valid UTF-8");
  EXPECT_EQ((*registry)->summaries()[2].error(), "parity.json: is not valid UTF-8");
}

// No reply holds a licence or a notice, which old ones spell in Latin-1.
TEST_F(LoaderTest, AFolderThatIsNotUtf8IsListedEscapedAndItsLicenceMayBeLatin1) {
  BundleFileMap files = Files(Builder("good"));
  files["LICENSE"] = "\xA9 2020";
  files["NOTICE"] = "\xA9 2021";
  Write("mod\xE8le\x1B[31m", files);
  BundleFileMap bad = Files(Builder("bad"));
  bad["README.md"] = "\xFF";
  Write("\xFF", bad);
  const auto registry = Load();
  ASSERT_TRUE(registry.ok()) << registry.status();
  v1::ListModelsResponse listed, parsed;
  for (const v1::ModelSummary& summary : (*registry)->summaries()) *listed.add_models() = summary;
  ASSERT_TRUE(parsed.ParseFromString(listed.SerializeAsString()));
  ASSERT_EQ(parsed.models_size(), 2);
  EXPECT_EQ(parsed.models(0).folder(), "mod\\xe8le\\x1b[31m");
  EXPECT_EQ(parsed.models(0).state(), v1::MODEL_STATE_READY);
  EXPECT_EQ(parsed.models(1).folder(), "\\xff");
}

TEST_F(LoaderTest, EachModelHasThePrecisionThatIsSetForItAndAnOtherwiseAdvisedOneFloat32) {
  Write("one", Files(Builder("one")));
  Write("two", Files(Builder("two")));
  BundleBuilder advised = Builder("three");
  advised.spec().mutable_precision()->add_recommended("float32");
  advised.spec().mutable_precision()->add_recommended("int8");
  Write("three", Files(advised));
  PrecisionSettings settings;
  settings.models = {{.name = "one", .version = std::nullopt, .precision = Precision::kInt8}};
  const auto registry = Load(settings);
  ASSERT_TRUE(registry.ok()) << registry.status();
  std::map<std::string, std::string> precisions;
  for (const v1::ModelSummary& summary : (*registry)->summaries()) precisions[summary.name()] = summary.precision();
  EXPECT_THAT(precisions, ::testing::ElementsAre(::testing::Pair("one", "int8"), ::testing::Pair("three", "float32"),
                                                 ::testing::Pair("two", "float32")));
  settings.all = Precision::kInt8;
  EXPECT_EQ((*Load(settings))->summaries()[2].precision(), "int8");
}

TEST_F(LoaderTest, ASettingOfAModelThatThereIsNotIsRefusedWithThoseThatThereAre) {
  Write("one", Files(Builder("one")));
  Write("two", Files(Builder("two")));
  PrecisionSettings settings;
  settings.file = "s.json";
  settings.models = {{.name = "one", .version = "1", .precision = Precision::kFloat32},
                     {.name = "tow", .version = std::nullopt, .precision = Precision::kFloat32}};
  EXPECT_EQ(Load(settings).status().message(),
            "--model_settings s.json: models[1] is of \"tow\"; it must be of a bundle of --models: one 1, two 1");
  settings.models[1] = {.name = "two", .version = "2", .precision = std::nullopt};
  EXPECT_EQ(
      Load(settings).status().message(),
      "--model_settings s.json: models[1] is of \"two\" version \"2\"; it must be of a bundle of --models: one 1, "
      "two 1");
}

// One that fails after its name was read is known; where a name could not be read, any setting may be of that bundle.
TEST_F(LoaderTest, ASettingOfABundleThatFailedKeepsNobodyFromServing) {
  Write("a-good", Files(Builder("good")));
  BundleFileMap tokenizer = Files(Builder("tokenizer"));
  tokenizer["source.spm"] = "no model";
  Write("b-tokenizer", tokenizer);
  PrecisionSettings settings;
  settings.models = {{.name = "tokenizer", .version = std::nullopt, .precision = Precision::kFloat32}};
  EXPECT_TRUE(Load(settings).ok());
  settings.models[0].name = "cut";
  EXPECT_FALSE(Load(settings).ok());
  BundleFileMap cut = Files(Builder("cut"));
  cut["model.json"].resize(10);
  Write("c-cut", cut);
  EXPECT_TRUE(Load(settings).ok());
}

TEST_F(LoaderTest, AMissingFolderAndOneWithoutBundlesAreNotFound) {
  EXPECT_EQ(Load().status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Load().status().message()), HasSubstr("holds no bundle"));
  const absl::Status missing = LoadModels(temp_.path() + "/none", {}).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("No such file or directory"));
}

TEST_F(LoaderTest, AFolderOfBadBundlesAloneIsRefusedWithEachReason) {
  BundleFileMap files = Files(Builder("x"));
  files["model.json"] = "{";
  Write("bad", files);
  const absl::Status status = Load().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(StartsWith("models folder"), HasSubstr("bad: "), HasSubstr("model.json")));
}

TEST_F(LoaderTest, AModelsOwnBoundOfSourceTokensHoldsWhereItIsLower) {
  BundleBuilder builder = Builder("short");
  builder.spec().mutable_limits()->set_max_source_tokens(9);
  Write("short", Files(builder));
  auto registry = Load();
  ASSERT_TRUE(registry.ok()) << registry.status();
  EXPECT_EQ((*registry)->models()[0]->summary.max_source_tokens(), 9);
}

}  // namespace
}  // namespace heed
