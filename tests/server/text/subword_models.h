// The vocabularies of tests/data/text/subwords, and small ones made on the spot, for the tests of this folder.
#pragma once

#include <google/protobuf/util/json_util.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "heed/model/v1/model.pb.h"
#include "server/text/tokenizer.h"
#include "tests/server/text/text_models.h"

namespace heed::testing {

inline const std::vector<std::string>& SubwordNames() {
  static const auto* const names = new std::vector<std::string>{"bpe",
                                                                "bpe_old",
                                                                "bpe_lower",
                                                                "bpe_filtered",
                                                                "words",
                                                                "characters",
                                                                "onmt_space",
                                                                "onmt_conservative",
                                                                "onmt_aggressive",
                                                                "onmt_spacer",
                                                                "onmt_conservative_spacer",
                                                                "listed_unigram",
                                                                "listed_bytes"};
  return *names;
}

// A file of the folder that HEED_TEXT_SUBWORDS names, by default the one in the tree.
inline std::string ReadSubwordFile(const std::string& name) {
  const char* folder = std::getenv("HEED_TEXT_SUBWORDS");
  std::ifstream file((folder == nullptr ? "tests/data/text/subwords/" : std::string(folder) + "/") + name,
                     std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

inline model::v1::Vocabulary SubwordVocabulary(const std::string& json) {
  model::v1::Vocabulary vocabulary;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &vocabulary);
  EXPECT_TRUE(status.ok()) << json;
  return vocabulary;
}

inline std::unique_ptr<Tokenizer> LoadSubwordTokenizer(const std::string& name) {
  const model::v1::Vocabulary vocabulary = SubwordVocabulary(ReadSubwordFile(name + ".json"));
  std::map<std::string, std::string> files;
  for (const std::string& file : {vocabulary.pieces(), vocabulary.bpe().merges(), vocabulary.opennmt().merges()}) {
    if (!file.empty()) files[file] = ReadSubwordFile(file);
  }
  if (const std::string& file = vocabulary.sentencepiece().file(); !file.empty()) files[file] = ReadTestFile(file);
  auto tokenizer = Tokenizer::Make(vocabulary, files);
  EXPECT_TRUE(tokenizer.ok()) << name << ": " << tokenizer.status().ToString();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

// A tokeniser of `pieces` behind <unk>, <s>, </s>; `fields` are the rest of its JSON; merges are "m".
inline std::unique_ptr<Tokenizer> MakeTokenizer(const std::string& fields, const std::vector<std::string>& pieces,
                                                const std::string& merges = "") {
  const std::string list = absl::StrCat(
      "[\"<unk>\",\"<s>\",\"</s>\"",
      absl::StrJoin(pieces, "", [](std::string* out, const std::string& piece) { *out += ",\"" + piece + "\""; }), "]");
  const model::v1::Vocabulary vocabulary = SubwordVocabulary(absl::StrCat(
      R"({"size":)", pieces.size() + 3, R"(,"unk_id":0,"bos_id":1,"eos_id":2,"pieces":"p",)", fields, "}"));
  auto tokenizer = Tokenizer::Make(vocabulary, {{"p", list}, {"m", merges}});
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

}  // namespace heed::testing
