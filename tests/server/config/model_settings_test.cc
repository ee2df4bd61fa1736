#include "server/config/model_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/support/bundle_folder.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Fault(const std::string& json) {
  const auto settings = ParseModelSettings(json, "s.json");
  EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument) << json;
  std::string message(settings.status().message());
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

TEST(ModelSettings, AreReadInOrderWithAndWithoutVersions) {
  const auto settings = ParseModelSettings(R"({"models": [{"name": "koen", "version": "2", "precision": "int8"},
                                                          {"name": "koen", "precision": "auto"},
                                                          {"name": "gist", "precision": "bfloat16"}]})",
                                           "s.json");
  ASSERT_TRUE(settings.ok()) << settings.status();
  ASSERT_EQ(settings->size(), 3U);
  EXPECT_EQ((*settings)[0].name, "koen");
  EXPECT_EQ((*settings)[0].version, "2");
  EXPECT_EQ((*settings)[0].precision, Precision::kInt8);
  EXPECT_EQ((*settings)[1].version, std::nullopt);
  EXPECT_EQ((*settings)[1].precision, std::nullopt) << "auto";
  EXPECT_EQ((*settings)[2].precision, Precision::kBfloat16);
  EXPECT_TRUE(ParseModelSettings("{}", "s.json").ok()) << "nothing is set";
}

TEST(ModelSettings, EachFaultIsOneLineThatNamesTheFileAndTheEntry) {
  EXPECT_EQ(Fault(R"({"models": [{"name": "a", "precision": "int8"}, {"precision": "int8"}]})"),
            "--model_settings s.json: models[1].name is missing; it must be a bundle's name");
  EXPECT_EQ(Fault(R"({"models": [{"name": "a", "precision": "INT8"}]})"),
            "--model_settings s.json: models[0].precision is \"INT8\"; it must be float32 or bfloat16 or int8 or auto");
  EXPECT_EQ(Fault(R"({"models": [{"name": "a"}]})"),
            "--model_settings s.json: models[0].precision is \"\"; it must be float32 or bfloat16 or int8 or auto");
  EXPECT_EQ(Fault(R"({"models": [{"name": "a", "precision": "int8"}, {"name": "a", "precision": "auto"}]})"),
            "--model_settings s.json: models[1] is of \"a\" a second time");
  EXPECT_EQ(Fault(R"({"models": [{"name": "a", "version": "1", "precision": "int8"},
                                 {"name": "a", "version": "1", "precision": "int8"}]})"),
            "--model_settings s.json: models[1] is of \"a\" version \"1\" a second time");
  EXPECT_THAT(Fault(R"({"models": [{"name": "a", "precison": "int8"}]})"),
              ::testing::AllOf(StartsWith("--model_settings s.json: "), HasSubstr("precison")));
  EXPECT_EQ(Fault(R"({"models": [{"name": "a", "precision": "int8", "precision": "float32"}]})"),
            "--model_settings s.json: one of its objects has \"precision\" twice");
  EXPECT_EQ(Fault(R"({"models": [], "models": []})"),
            "--model_settings s.json: one of its objects has \"models\" twice");
  EXPECT_EQ(Fault("{'models': []}"), "--model_settings s.json: it is not JSON: a fault at byte 2");
  EXPECT_EQ(Fault(R"({"models": [{"name": "a", "precision": "int8"},]})"),
            "--model_settings s.json: it is not JSON: a fault at byte 48");
  EXPECT_THAT(Fault(std::string(100000, '[')), StartsWith("--model_settings s.json: "));
  EXPECT_THAT(Fault(std::string(500000, '[') + std::string(500000, ']')), StartsWith("--model_settings s.json: "));
  EXPECT_THAT(Fault("{\"models\": 1e999}"), StartsWith("--model_settings s.json: "));
  for (const char* json : {"", "[]", "{", "{\"models\": 3}", "{\"models\": [{\"name\": 1, \"precision\": []}]}"}) {
    EXPECT_THAT(Fault(json), StartsWith("--model_settings s.json: "));
  }
  EXPECT_EQ(Fault(std::string((1 << 20) + 1, ' ')), "--model_settings s.json: it has more than 1048576 bytes");
}

TEST(ModelSettings, AFileThatCannotBeReadIsNamed) {
  const TempFolder temp;
  for (const std::string& file : {temp.path(), temp.path() + "/none"}) {
    EXPECT_EQ(ReadModelSettings(file).status().message(),
              "--model_settings is " + file + "; it must be a readable file");
  }
  const std::string file = temp.path() + "/s.json";
  std::ofstream(file) << R"({"models": [{"name": "koen", "precision": "float32"}]})";
  const auto settings = ReadModelSettings(file);
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->at(0).precision, Precision::kFloat32);
  std::ofstream(file) << std::string((1 << 20) + 5, ' ');
  EXPECT_THAT(std::string(ReadModelSettings(file).status().message()), HasSubstr("more than 1048576 bytes"));
}

}  // namespace
}  // namespace heed
