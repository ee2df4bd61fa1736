// parity.json read strictly: every fault is one line that names the field.
#include "server/verify/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

Json Good() {
  return Json::parse(R"({
    "format_version": 1, "reference": "a reference, float64", "toolkit": "OpenNMT-py 3.5.1", "unknown_share": 0.25,
    "search": {"beam_size": 5, "length_alpha": 0.6},
    "tolerance": {"log_probability": 2e-4, "margin": 0.01},
    "measured": {"by": "heed-server 0.1.0", "precision": "float32", "instruction_set": "AVX2",
                 "values": {"log_probability": 1e-6}},
    "cases": [
      {"source_ids": [4, 2], "target_ids": [5, 6, 2], "log_probabilities": [-1, -2.5, -0.5], "finish": "eos"},
      {"text": "hi", "output": "ho", "source_ids": [4, 2], "target_ids": [5, 6], "log_probabilities": [-1, -2],
       "margins": [1, 2], "finish": "length", "copy_ids": [7, 19], "copy_gates": [0.5, 0], "shortlist": true,
       "attentions": [
         {"attend": "c", "head": 0, "weights": [[0.5, 0.5], [1, 0]], "energies": [[1, 1], [3, -3]],
          "contexts": [[1, 2, 3], [4, 5, 6]]},
         {"attend": "c", "head": 1, "weights": [[0.25, 0.75], [1, 0]]}]}]})");
}

TEST(Certificate, SaysWhosePrecisionItIs) {
  Json of_int8 = Good();
  of_int8["precision"] = "int8";
  const auto read = ParseCertificate(of_int8.dump());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->precision, Precision::kInt8);
}

TEST(Certificate, IsReadWhole) {
  const auto read = ParseCertificate(Good().dump());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->reference, "a reference, float64");
  EXPECT_EQ(read->toolkit, "OpenNMT-py 3.5.1");
  EXPECT_EQ(read->search.beam_size(), 5);
  EXPECT_EQ(read->tolerance.log_probability, 2e-4);
  EXPECT_EQ(read->tolerance.weight, 1e-5);
  EXPECT_EQ(read->tolerance.margin, 0.01);
  EXPECT_EQ(read->precision, Precision::kFloat32);
  ASSERT_EQ(read->cases.size(), 2U);
  EXPECT_FALSE(read->cases[0].text.has_value());
  EXPECT_THAT(read->cases[0].log_probabilities, ElementsAre(-1, -2.5, -0.5));
  EXPECT_EQ(read->cases[0].finish, FinishReason::kEos);
  const CertifiedCase& full = read->cases[1];
  EXPECT_EQ(full.text, "hi");
  EXPECT_EQ(full.output, "ho");
  EXPECT_THAT(full.margins, ElementsAre(1, 2));
  EXPECT_EQ(full.finish, FinishReason::kLength);
  EXPECT_THAT(full.copy_ids, ElementsAre(7, 19));
  EXPECT_THAT(full.copy_gates, ElementsAre(0.5, 0));
  EXPECT_TRUE(full.shortlist);
  ASSERT_EQ(full.attentions.size(), 2U);
  EXPECT_THAT(full.attentions[0].energies, ElementsAre(ElementsAre(1, 1), ElementsAre(3, -3)));
  EXPECT_THAT(full.attentions[0].contexts, ElementsAre(ElementsAre(1, 2, 3), ElementsAre(4, 5, 6)));
  EXPECT_EQ(full.attentions[1].head, 1);
  EXPECT_TRUE(full.attentions[1].energies.empty());
}

struct FileFault {
  std::string name;
  std::function<void(Json&)> damage;
  std::string message;
};
void PrintTo(const FileFault& fault, std::ostream* out) { *out << fault.name; }

class CertificateFault : public ::testing::TestWithParam<FileFault> {};

TEST_P(CertificateFault, IsOneLineThatNamesTheField) {
  Json json = Good();
  GetParam().damage(json);
  const auto read = ParseCertificate(json.dump());
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(read.status().message()), Eq("parity.json: " + GetParam().message));
  EXPECT_THAT(std::string(read.status().message()), Not(HasSubstr("\n")));
}

INSTANTIATE_TEST_SUITE_P(
    All, CertificateFault,
    ::testing::Values(
        FileFault{"Version", [](Json& j) { j["format_version"] = 3; }, "format_version is 3, expected 1 to 2"},
        FileFault{"NoVersion",
                  [](Json& j) {
                    j.erase("format_version");
                    j["search"].erase("length_alpha");
                  },
                  "format_version is missing"},
        FileFault{"NoReference", [](Json& j) { j.erase("reference"); }, "reference is missing"},
        FileFault{"NoSearch", [](Json& j) { j.erase("search"); }, "search is missing"},
        FileFault{"Beam", [](Json& j) { j["search"]["beam_size"] = 0; }, "search.beam_size is 0, expected 1 to 1024"},
        FileFault{"Alpha", [](Json& j) { j["search"]["length_alpha"] = 11; },
                  "search.length_alpha is 11, expected 0 to 10"},
        FileFault{"NoTolerance", [](Json& j) { j["tolerance"]["weight"] = 0; },
                  "tolerance.weight is 0, expected a number above 0, at most 1"},
        FileFault{"WideTolerance", [](Json& j) { j["tolerance"]["margin"] = 1.5; },
                  "tolerance.margin is 1.5, expected a number above 0, at most 1"},
        FileFault{"Precision", [](Json& j) { j["precision"] = "int4"; },
                  "precision is \"int4\", expected float32, bfloat16 or int8"},
        FileFault{"UnknownShare", [](Json& j) { j["unknown_share"] = 1.5; }, "unknown_share is 1.5, expected 0 to 1"},
        FileFault{"NoCases", [](Json& j) { j["cases"] = Json::array(); }, "cases is missing"},
        FileFault{"NegativeId", [](Json& j) { j["cases"][0]["source_ids"][1] = -1; },
                  "cases[0].source_ids[1] is -1, expected at least 0"},
        FileFault{"NoIds", [](Json& j) { j["cases"][0]["target_ids"] = Json::array(); },
                  "cases[0].target_ids is missing"},
        FileFault{"TooFew", [](Json& j) { j["cases"][0]["log_probabilities"].erase(0); },
                  "cases[0].log_probabilities has 2 elements, expected 3, one for each of target_ids"},
        FileFault{"NotFinite", [](Json& j) { j["cases"][0]["log_probabilities"][2] = "NaN"; },
                  "cases[0].log_probabilities[2] is nan, expected a finite number"},
        FileFault{"NoWeight", [](Json& j) { j["cases"][1]["attentions"][0]["weights"][0][1] = "x"; },
                  "cases[1].attentions[0].weights[0][1] is no number"},
        FileFault{"Finish", [](Json& j) { j["cases"][0]["finish"] = "stop"; },
                  "cases[0].finish is \"stop\", expected eos or length"},
        FileFault{"Margins", [](Json& j) { j["cases"][1]["margins"].push_back(1); },
                  "cases[1].margins has 3 elements, expected 2, one for each of target_ids"},
        FileFault{"CopyIds", [](Json& j) { j["cases"][1]["copy_ids"].push_back(1); },
                  "cases[1].copy_ids has 3 elements, expected 2, one for each of source_ids"},
        FileFault{"Gates", [](Json& j) { j["cases"][1]["copy_gates"] = {1}; },
                  "cases[1].copy_gates has 1 elements, expected 2, one for each of target_ids"},
        FileFault{"Rows", [](Json& j) { j["cases"][1]["attentions"][0]["weights"].erase(0); },
                  "cases[1].attentions[0].weights has 1 elements, expected 2, one for each of target_ids"},
        FileFault{"Columns", [](Json& j) { j["cases"][1]["attentions"][0]["energies"][1].erase(0); },
                  "cases[1].attentions[0].energies[1] has 1 elements, expected 2, one for each of source_ids"},
        FileFault{"Contexts", [](Json& j) { j["cases"][1]["attentions"][0]["contexts"][1].erase(0); },
                  "cases[1].attentions[0].contexts[1] has 2 elements, expected 3, one for each element of the first "
                  "row"},
        FileFault{"ContextsOfHead1",
                  [](Json& j) {
                    j["cases"][1]["attentions"][1]["contexts"] = {{1}, {2}};
                  },
                  "cases[1].attentions[1].contexts is given with head 1, expected 0 alone"},
        FileFault{"Twice", [](Json& j) { j["cases"][1]["attentions"][1]["head"] = 0; },
                  "cases[1].attentions[1] is head 0 of \"c\" a second time"},
        FileFault{"Head", [](Json& j) { j["cases"][1]["attentions"][1]["head"] = -1; },
                  "cases[1].attentions[1].head is -1, expected 0 to 1024"}),
    [](const auto& info) { return info.param.name; });

// protobuf's reader of JSON says these.
TEST(Certificate, WhatIsNoParityIsOneLineOfItsReaders) {
  const std::function<void(Json&)> damages[] = {
      [](Json& j) { j = Json::array(); },
      [](Json& j) { j["x\n"] = 1; },
      [](Json& j) { j["search"] = 3; },
      [](Json& j) { j["search"]["beam"] = 3; },
      [](Json& j) { j["tolerance"]["w"] = 1; },
      [](Json& j) { j["measured"]["values"]["c"] = "no"; },
      [](Json& j) { j["cases"][1]["scores"] = 1; },
      [](Json& j) { j["cases"][0]["source_ids"][1] = 1ULL << 63; },
      [](Json& j) { j["cases"][0]["log_probabilities"][2] = "one"; },
      [](Json& j) { j["cases"][1]["shortlist"] = "maybe"; },
  };
  for (const auto& damage : damages) {
    Json json = Good();
    damage(json);
    const absl::Status status = ParseCertificate(json.dump()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << json;
    EXPECT_THAT(std::string(status.message()), ::testing::StartsWith("parity.json: ")) << json;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
  }
}

TEST(Certificate, SearchIsReadInTheFormOfEitherVersion) {
  EXPECT_EQ(ParseCertificate(Good().dump())->search.ShortDebugString(), "beam_size: 5 average { alpha: 0.6 }");
  Json json = Good();
  json["format_version"] = 2;
  EXPECT_FALSE(ParseCertificate(json.dump()).ok());
  json["search"] = {{"beam_size", 5}, {"gnmt", {{"alpha", 0.6}}}};
  EXPECT_EQ(ParseCertificate(json.dump())->search.ShortDebugString(), "beam_size: 5 gnmt { alpha: 0.6 }");
}

TEST(Certificate, ValuesInsideValuesAreBounded) {
  constexpr std::size_t kLevels = 200000;
  for (const char* place : {"\"beam_size\":5", "\"weights\":[[0.5,0.5],[1,0]]"}) {
    std::string json = Good().dump();
    const std::size_t found = json.find(place);
    ASSERT_NE(found, std::string::npos);
    const std::string key = std::string(place).substr(0, std::string(place).find(':') + 1);
    json.replace(found, std::string(place).size(), key + std::string(kLevels, '[') + std::string(kLevels, ']'));
    EXPECT_EQ(ParseCertificate(json).status().message(), "parity.json: the file has values more than 64 levels deep");
  }
}

TEST(Certificate, WhatIsNoJsonIsRefusedInOneLine) {
  for (const std::string& json :
       {std::string("{\"a\": }"), std::string("[1e999]"), std::string(100000, '['), std::string()}) {
    EXPECT_THAT(std::string(ParseCertificate(json).status().message()), ::testing::StartsWith("parity.json: "));
  }
}

}  // namespace
}  // namespace heed
