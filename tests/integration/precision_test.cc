// In which precision models are served: what a bundle advises, what an operator says, on a machine that lacks VNNI and
// bfloat16 (oneDNN held to AVX2).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/running_server.h"
#include "tests/integration/small_models.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kLacks[] = "bfloat16 needs AVX512_BF16, which is not there: products run on AVX2";
constexpr char kSevenBits[] =
    "int8 needs VNNI, which is not there: products run on AVX2, and what weights are multiplied with has 7 bits";

const std::map<std::string, std::string>& Avx2() {
  static const auto* variables = new std::map<std::string, std::string>{{"ONEDNN_MAX_CPU_ISA", "AVX2"}};
  return *variables;
}

class Precisions : public ::testing::Test {
 protected:
  Precisions() { WriteLuong(models_.path(), "luong"); }

  // A bundle whose model.json recommends these, spelled as JSON: "\"int8\"".
  void WriteAdvised(const std::string& name, const std::string& recommended) {
    BundleFileMap files = LuongFiles(name);
    std::string& json = files["model.json"];
    json.insert(json.rfind('}'), absl::StrCat(", \"precision\": {\"recommended\": [", recommended, "]}"));
    WriteBundleFolder(models_.path() + "/" + name, files);
  }

  std::string Settings(const std::string& models) {
    const std::string file = temp_.path() + "/settings.json";
    std::ofstream(file) << "{\"models\": [" << models << "]}";
    return "--model_settings=" + file;
  }

  // What a server says that is not to start, "heed-server: " left out.
  std::string Refusal(const std::vector<std::string>& flags, int code = 1) {
    std::vector<std::string> arguments = {"--models=" + models_.path(), "--address=127.0.0.1:0",
                                          "--metrics_address=", "--log_format=json"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Finished finished = RunProgram(ServerProgram(), arguments, {.environment = Avx2()});
    EXPECT_EQ(finished.code, code) << finished.err;
    const std::vector<std::string> lines = absl::StrSplit(finished.err, '\n', absl::SkipEmpty());
    if (lines.empty()) return "";
    EXPECT_THAT(lines.back(), StartsWith("heed-server: "));
    return lines.back().substr(std::string("heed-server: ").size());
  }

  // Why a model is not served as somebody meant it to, by its name.
  static std::map<std::string, std::string> Reasons(const RunningServer& server) {
    std::map<std::string, std::string> reasons;
    for (const LogEvent& event : server.Log()) {
      if (event.at("event") == "precision") reasons[event.at("model")] = event.at("reason");
    }
    return reasons;
  }

  static std::map<std::string, std::string> Served(RunningServer* server) {
    std::map<std::string, std::string> precisions;
    const auto listed = server->caller().ListModels();
    for (const v1::ModelSummary& model : listed.response.models()) precisions[model.name()] = model.precision();
    return precisions;
  }

  TempFolder models_, temp_;
};

TEST_F(Precisions, OneThatTheMachineLacksEndsTheStartWithOneLine) {
  EXPECT_EQ(Refusal({"--precision=bfloat16"}),
            absl::StrCat("model luong 1 cannot be served in bfloat16, as --precision says: ", kLacks));
  const std::string flag = Settings(R"({"name": "luong", "precision": "bfloat16"})");
  EXPECT_EQ(Refusal({flag}), absl::StrCat("model luong 1 cannot be served in bfloat16, as --model_settings ",
                                          temp_.path(), "/settings.json says: ", kLacks));
  EXPECT_EQ(Refusal({"--precision=half"}, 2),
            "--precision is \"half\"; it must be float32 or bfloat16 or int8 or auto");
}

TEST_F(Precisions, AutoFallsBackWhereTheMachineLacksWhatTheBundleRecommendsAndTheLogSaysWhy) {
  WriteAdvised("advised", "\"int8\", \"bfloat16\"");
  RunningServer server(models_.path(), {}, Avx2());
  EXPECT_THAT(Served(&server),
              ::testing::ElementsAre(::testing::Pair("advised", "float32"), ::testing::Pair("luong", "float32")));
  const std::map<std::string, std::string> reasons = Reasons(server);
  ASSERT_EQ(reasons.size(), 1U) << "nothing is to be said of a bundle that recommends nothing";
  EXPECT_EQ(reasons.at("advised"),
            absl::StrCat("the bundle recommends int8: ", kSevenBits, "; the bundle recommends bfloat16: ", kLacks));
}

TEST_F(Precisions, Int8Of7BitsIsServedWhereItIsAskedForAndTheLogSaysSo) {
  RunningServer server(models_.path(), {"--precision=int8"}, Avx2());
  EXPECT_THAT(Served(&server), ::testing::ElementsAre(::testing::Pair("luong", "int8")));
  EXPECT_EQ(Reasons(server)["luong"], kSevenBits);
  EXPECT_TRUE(server.caller().Translate(TranslateTexts({"안녕"})).ok());
}

TEST_F(Precisions, ThatOfOneModelIsSetInAFileAndShownEverywhere) {
  WriteLuong(models_.path(), "second");
  RunningServer server(models_.path(),
                       {"--precision=float32", Settings(R"({"name": "second", "version": "1", "precision": "int8"})")});
  EXPECT_THAT(Served(&server),
              ::testing::ElementsAre(::testing::Pair("luong", "float32"), ::testing::Pair("second", "int8")));
  EXPECT_EQ(server.Metric("heed_model_info{model=\"luong\",precision=\"float32\",version=\"1\"}"), 1);
  EXPECT_EQ(server.Metric("heed_model_info{model=\"second\",precision=\"int8\",version=\"1\"}"), 1);
  EXPECT_THAT(server.Heed({"models", "second"}).out, HasSubstr("int8"));
  std::map<std::string, std::string> loaded;
  for (const LogEvent& event : server.Log()) {
    if (event.at("event") == "model_loaded") loaded[event.at("model")] = event.at("precision");
  }
  EXPECT_EQ(loaded["second"], "int8");
}

TEST_F(Precisions, FaultsOfTheSettingsEndTheStartWithOneLine) {
  const std::string file = temp_.path() + "/settings.json";
  EXPECT_EQ(Refusal({Settings(R"({"name": "lunog", "precision": "int8"})")}),
            absl::StrCat("--model_settings ", file,
                         ": models[0] is of \"lunog\"; it must be of a bundle of --models: luong 1"));
  const std::string twice = R"({"name": "luong", "precision": "int8"}, {"name": "luong", "precision": "float32"})";
  EXPECT_EQ(Refusal({Settings(twice)}),
            absl::StrCat("--model_settings ", file, ": models[1] is of \"luong\" a second time"));
  EXPECT_THAT(Refusal({Settings(R"({"name": "luong", "precison": "int8"})")}),
              StartsWith(absl::StrCat("--model_settings ", file, ": ")));
  EXPECT_EQ(Refusal({"--model_settings=/nowhere/settings.json"}),
            "--model_settings is /nowhere/settings.json; it must be a readable file");
}

// In the precision that serves by itself, unless told another.
TEST_F(Precisions, VerifyTakesThatWhichServes) {
  BundleFileMap files = LuongFiles("own");
  std::string& json = files["model.json"];
  json.insert(json.rfind('}'), R"(, "precision": {"recommended": ["int8"]})");
  files["parity.json"] =
      R"({"format_version": 1, "reference": "nobody", "search": {}, "tolerance": {}, "cases": [{"source_ids": [5, 2],
          "target_ids": [2], "log_probabilities": [-100], "finish": "eos"}]})";
  const std::string folder = temp_.path() + "/own";
  WriteBundleFolder(folder, files);
  const auto verify = [&](const std::string& flag) {
    std::vector<std::string> arguments = {"verify", folder};
    if (!flag.empty()) arguments.push_back(flag);
    return RunProgram(ServerProgram(), arguments, {.environment = Avx2()});
  };
  const Finished by_itself = verify("");
  EXPECT_EQ(by_itself.code, 1) << "the certificate is wrong in any precision";
  EXPECT_THAT(by_itself.out, HasSubstr(", float32, AVX2\n"));
  EXPECT_EQ(by_itself.err, absl::StrCat("heed-server: ", folder, ": the bundle recommends int8: ", kSevenBits, "\n"));
  EXPECT_THAT(verify("--precision=int8").out, HasSubstr(", int8, AVX2\ntolerances of int8, "));
  EXPECT_EQ(verify("--precision=float32").err, "");
  const Finished lacking = verify("--precision=bfloat16");
  EXPECT_EQ(lacking.code, 2);
  EXPECT_EQ(lacking.err,
            absl::StrCat("heed-server: ", folder,
                         ": model own 1 cannot be served in bfloat16, as --precision says: ", kLacks, "\n"));
}

}  // namespace
}  // namespace heed
