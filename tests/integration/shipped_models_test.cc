// The bundles in models/, served for real: that they are there, that they say what they say whatever shares the batch,
// and what their attention looks like. Quality and parity are measured over whole test sets by export/, not here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/integration/batch_independence.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"

namespace heed {
namespace {

using ::testing::HasSubstr;

constexpr char kModels[] = HEED_SHIPPED_MODELS;
constexpr char kTranslation[] = "pydocs-ko-en";
constexpr char kSummaries[] = "sae4k-ko";

class ShippedModels : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {kTranslation, kSummaries}) {
      ASSERT_TRUE(std::filesystem::exists(std::filesystem::path(kModels) / name / "model.json"))
          << kModels << "/" << name << " is missing: the bundles that ship belong into the tree";
    }
  }
};

TEST_F(ShippedModels, AreTogetherUnder40Megabytes) {
  std::uintmax_t bytes = 0;
  // Its bundles are links to those in models/.
  const auto follow = std::filesystem::directory_options::follow_directory_symlink;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kModels, follow)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  EXPECT_LT(bytes, 40'000'000U);
}

TEST_F(ShippedModels, AllLoadInUnderASecond) {
  // The best of a few: the first reads from the disk, and others may be using this machine.
  double best = 1e9;
  for (int i = 0; i < 4 && best >= 1; ++i) {
    RunningServer server(kModels);
    double seconds = 0;
    const auto listed = server.caller().ListModels();
    for (const v1::ModelSummary& model : listed.response.models()) {
      EXPECT_EQ(model.state(), v1::MODEL_STATE_READY) << model.folder() << ": " << model.error();
      seconds += model.load_seconds();
    }
    best = std::min(best, seconds);
  }
  EXPECT_LT(best, 1);
}

TEST_F(ShippedModels, TranslateAndSummariseSentencesAsPeopleWriteThem) {
  RunningServer server(kModels);
  const Finished translated =
      server.Heed({"translate", "--attention", "--color=never", "이 함수는 문자열을 반환합니다."});
  EXPECT_EQ(translated.code, 0) << translated.err;
  EXPECT_THAT(translated.out, HasSubstr("string"));
  EXPECT_THAT(translated.out, HasSubstr("문자열을")) << "a column of the heat map";
  const Finished summary = server.Heed({"summarize", "내일 서울 날씨가 어떤지 알려줘"});
  EXPECT_EQ(summary.code, 0) << summary.err;
  EXPECT_THAT(summary.out, HasSubstr("날씨"));
}

TEST_F(ShippedModels, SayHowSureTheyAreAndWhatTheyDoNotRead) {
  RunningServer server(kModels);
  const TranslateAnswer answer = server.caller().Translate(
      TranslateTexts({"이 함수는 문자열을 반환합니다.", "기본값은 `None` 이고 dict.get(key) 와 같습니다.",
                      "Hello, how are you?", "日本語の文章を入力します。"},
                     kTranslation));
  ASSERT_TRUE(answer.ok()) << answer.ToString();
  for (int i = 0; i < 4; ++i) {
    const v1::Segment& segment = answer.response.results(i).output().segments(0);
    EXPECT_TRUE(segment.hypotheses(0).has_confidence()) << i;
    EXPECT_TRUE(segment.hypotheses(0).tokens(0).has_confidence()) << i;
    EXPECT_EQ(segment.source_coverage().low(), i >= 2) << i << ": " << segment.source_coverage().share();
  }
  EXPECT_FALSE(answer.response.results(0).output().segments(0).hypotheses(0).doubtful());
  const Finished english = server.Heed({"summarize", "Turn the lights on in the living room"});
  EXPECT_THAT(english.err, HasSubstr("text 1: 0 % of it is Korean (Hangul) as sae4k-ko knows it"));
  EXPECT_EQ(server.Heed({"summarize", "--plain", "내일 서울 날씨가 어떤지 알려줘"}).err, "");
}

// What no training text had is copied, and said to be.
TEST_F(ShippedModels, SummariesCopyNumbersAndLatinWords) {
  RunningServer server(kModels);
  v1::SummarizeRequest request;
  request.mutable_model()->set_name(kSummaries);
  const std::vector<std::string> kept = {"7", "TV", "KBS"};
  for (const char* text : {"내일 아침 7시에 알람 맞춰 줘", "TV 꺼 줘", "KBS 뉴스 틀어 줘."}) request.add_texts(text);
  const auto answer = server.caller().Summarize(request);
  ASSERT_TRUE(answer.ok()) << answer.ToString();
  for (int i = 0; i < answer.response.results_size(); ++i) {
    const v1::TextOutput& output = answer.response.results(i).output();
    EXPECT_THAT(output.text(), HasSubstr(kept[static_cast<std::size_t>(i)]));
    const v1::Hypothesis& best = output.segments(0).hypotheses(0);
    EXPECT_TRUE(std::any_of(best.tokens().begin(), best.tokens().end(), [](const v1::Token& token) {
      return token.copied_from().share() > 0.5;
    })) << output.text();
  }
}

// Weights over all columns sum to 1, in every row of every hypothesis.
TEST_F(ShippedModels, AttentionRowsSumToOne) {
  RunningServer server(kModels);
  v1::TranslateRequest request = BeamOptions(kTranslation, true);
  for (const std::string& text : Sentences(4)) request.add_texts(text);
  const TranslateAnswer answer = server.caller().Translate(request);
  ASSERT_TRUE(answer.ok()) << answer.ToString();
  int rows = 0;
  for (const v1::TextResult& result : answer.response.results()) {
    for (const v1::Hypothesis& hypothesis : result.output().segments(0).hypotheses()) {
      for (const v1::Attention& attention : hypothesis.attentions()) {
        ASSERT_EQ(attention.dense().rows(), hypothesis.tokens_size());
        if (attention.component() != v1::ATTENTION_COMPONENT_WEIGHTS) continue;
        for (int row = 0; row < attention.dense().rows(); ++row, ++rows) {
          double sum = 0;
          for (int column = 0; column < attention.dense().columns(); ++column) {
            sum += attention.dense().values(row * attention.dense().columns() + column);
          }
          EXPECT_NEAR(sum, 1, 1e-5);
        }
      }
    }
  }
  EXPECT_GT(rows, 0);
}

TEST_F(ShippedModels, SayWhatTheirCertificatesSay) {
  for (const std::string model : {kTranslation, kSummaries}) {
    const std::string folder = std::string(kModels) + "/" + model;
    const Finished text = RunProgram(ServerProgram(), {"verify", folder, "--precision=float32"});
    EXPECT_EQ(text.code, 0) << text.out << text.err;
    EXPECT_THAT(text.out, HasSubstr("passed: 20 of 20 cases gave the same tokens, 0 parted at a tie"));
    const Finished json = RunProgram(ServerProgram(), {"verify", "--json", folder});
    EXPECT_EQ(json.code, 0) << "in the precision that serves: " << json.out << json.err;
    EXPECT_THAT(json.out, HasSubstr("\"ok\":true"));
    const Finished int8 = RunProgram(ServerProgram(), {"verify", folder, "--precision=int8"});
    EXPECT_EQ(int8.code, 0) << int8.out << int8.err;
    const Finished bfloat16 = RunProgram(ServerProgram(), {"verify", folder, "--precision=bfloat16"});
    if (bfloat16.code == 2) {
      EXPECT_THAT(bfloat16.err, HasSubstr("bfloat16 needs AVX512_BF16"));
    } else {
      EXPECT_EQ(bfloat16.code, 0) << bfloat16.out << bfloat16.err;
    }
  }
}

TEST_F(ShippedModels, VerifyTellsWhatItCannotReadFromWhatIsWrong) {
  const std::string folder = std::string(kModels) + "/" + kTranslation;
  const Finished nothing = RunProgram(ServerProgram(), {"verify", "/nowhere"});
  EXPECT_EQ(nothing.code, 2);
  EXPECT_EQ(nothing.err, "heed-server: /nowhere: \"/nowhere\": no such folder\n");
  EXPECT_EQ(nothing.out, "");
  EXPECT_EQ(RunProgram(ServerProgram(), {"verify"}).code, 2);
  EXPECT_EQ(RunProgram(ServerProgram(), {"verify", folder, "--max_rows=3"}).code, 2);
  const Finished half = RunProgram(ServerProgram(), {"verify", folder, "--precision=half"});
  EXPECT_EQ(half.code, 2);
  EXPECT_EQ(half.err, "heed-server: --precision is \"half\"; it must be float32 or bfloat16 or int8 or auto\n");
  BundleFileMap files = LuongFiles("luong");
  files["parity.json"] =
      R"({"format_version": 1, "reference": "nobody", "search": {}, "tolerance": {}, "cases": [{"source_ids": [5, 2],
          "target_ids": [2], "log_probabilities": [-100], "finish": "eos"}]})";
  const TempFolder temp;
  WriteBundleFolder(temp.path() + "/luong", files);
  const Finished wrong = RunProgram(ServerProgram(), {"verify", temp.path() + "/luong"});
  EXPECT_EQ(wrong.code, 1) << wrong.err;
  EXPECT_THAT(wrong.out, HasSubstr("cases[0] step 0  BEYOND"));
}

class ShippedModelsBatch : public ShippedModels, public ::testing::WithParamInterface<std::string> {};

TEST_P(ShippedModelsBatch, AReplyIsTheSameAloneAmong63OthersAndUnder8Clients) {
  std::map<std::string, std::string> environment;
  if (GetParam() != "native") environment["ONEDNN_MAX_CPU_ISA"] = GetParam();
  RunningServer server(kModels, {"--workers=2"}, environment);
  for (const std::string model : {kTranslation, kSummaries}) {
    SCOPED_TRACE(model);
    BatchCheck check{
        .summarize = model == kSummaries, .options = GreedyOptions(model, true), .texts = Sentences(64), .alone = 16};
    ExpectBatchIndependence(server, check);
    check.options = BeamOptions(model, true);
    check.alone = 8;
    check.clients = 2;
    ExpectBatchIndependence(server, check);
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, ShippedModelsBatch, ::testing::Values("native", "AVX2"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace heed
