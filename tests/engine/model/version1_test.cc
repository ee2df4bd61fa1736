// Bundles of format version 1: what they said in three fields is read as what SearchOptions has for it.
#include "engine/model/version1.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "engine/model/bundle.h"
#include "engine/model/checker.h"
#include "engine/model/spec.h"

namespace heed {
namespace {

std::string File(const std::string& search, int version = 1) {
  return "{\"format_version\": " + std::to_string(version) + ", \"search\": {" + search + "}}";
}

TEST(Version1, LengthNormalisationIsReadAsWhatItMeant) {
  const std::pair<const char*, const char*> searches[] = {
      {"\"beam_size\": 1, \"length_alpha\": 1.0, \"max_length_a\": 2",
       "beam_size: 1 average { alpha: 1 } max_length_a: 2"},
      {"\"lengthAlpha\": 0.6", "average { alpha: 0.6 }"},
      {"\"length_alpha\": \"0.5\"", "average { alpha: 0.5 }"},
      {"\"length_alpha\": 0", ""},
      {"\"length_alpha\": null, \"beam_size\": 2", "beam_size: 2"},
      {"\"length_normalization\": \"LENGTH_NORMALIZATION_NONE\", \"length_alpha\": 1", "none { }"},
      {"\"length_normalization\": \"LENGTH_NORMALIZATION_POWER\"", "average { alpha: 0 }"},
      {"\"length_normalization\": 2, \"length_alpha\": 7, \"length_offset\": 1",
       "average { alpha: 7 } length_offset: 1"},
      {"\"length_normalization\": \"LENGTH_NORMALIZATION_GNMT\", \"length_alpha\": 0.9", "gnmt { alpha: 0.9 beta: 5 }"},
      {"\"length_normalization\": 3, \"length_alpha\": 1, \"length_beta\": 0", "gnmt { alpha: 1 beta: 0 }"},
  };
  for (const auto& [search, expected] : searches) {
    const auto spec = ParseSpec(File(search));
    ASSERT_TRUE(spec.ok()) << search << ": " << spec.status();
    EXPECT_EQ(spec->search().ShortDebugString(), expected) << search;
    EXPECT_EQ(spec->format_version(), 1);
  }
}

TEST(Version1, AFieldOutOfItsBoundsIsNamedAsTheFileNamesIt) {
  const std::pair<const char*, const char*> searches[] = {
      {"\"length_alpha\": -1", "length_alpha is -1, expected 0 to 10"},
      {"\"length_alpha\": \"NaN\"", "length_alpha is nan, expected 0 to 10"},
      {"\"length_alpha\": 1e300", "length_alpha is inf, expected 0 to 10"},
      {"\"length_alpha\": [1]", "length_alpha is an array, expected a number"},
      {"\"length_beta\": 101", "length_beta is 101, expected 0 to 100"},
      {"\"length_normalization\": \"SUM\"",
       "length_normalization is \"\\\"SUM\\\"\", expected a known LengthNormalization"},
      {"\"length_normalization\": 4", "length_normalization is \"4\", expected a known LengthNormalization"},
  };
  for (const auto& [search, expected] : searches) {
    EXPECT_EQ(ParseSpec(File(search)).status().message(), std::string("model.json: search.") + expected) << search;
  }
}

// A bundle as heed-export wrote them then, whole.
TEST(Version1, ABundleOfItLoadsAsOneOfToday) {
  const auto bundle = ReadBundle("tests/data/version1");
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  EXPECT_EQ(CheckProgram(*bundle).status(), absl::OkStatus());
  EXPECT_EQ(bundle->spec.search().ShortDebugString(),
            "beam_size: 5 gnmt { alpha: 0.6 beta: 0 } length_offset: -1 max_length_a: 2 max_length_b: 20");
}

TEST(Version1, OtherVersionsDoNotKnowTheseFields) {
  EXPECT_TRUE(ParseSpec(File("\"average\": {\"alpha\": 1}", 2)).ok());
  EXPECT_FALSE(ParseSpec(File("\"length_alpha\": 1", 2)).ok());
  EXPECT_EQ(ParseSpec(File("\"what_came_later\": 1", 3)).status().message(),
            "model.json: format_version is 3, expected 1 to 2");
  EXPECT_FALSE(ParseSpec(File("\"length_normalization\": \"LENGTH_NORMALIZATION_NONE\"", 2)).ok());
}

TEST(Version1, WhatIsNoSuchFileIsLeftToWhoReadsItNext) {
  const std::string deep(100000, '[');
  for (const std::string& json : {std::string("{"), std::string("[]"), std::string("{\"format_version\": 1}"), deep,
                                  File("\"beam_size\": 1"), std::string("{\"format_version\": 1, \"search\": 3}"),
                                  File("\"length_alpha\": 1, \"attend\": " + deep + std::string(100000, ']'))}) {
    const auto newer = FromVersion1(json);
    ASSERT_TRUE(newer.ok()) << newer.status();
    EXPECT_FALSE(newer->has_value());
  }
}

}  // namespace
}  // namespace heed
