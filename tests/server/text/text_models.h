// The tiny models of tests/data/text and random text, for the tests of this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "heed/model/v1/model.pb.h"
#include "server/text/tokenizer.h"
#include "server/text/utf8.h"

namespace heed::testing {

inline std::string ReadTestFile(const std::string& name) {
  std::ifstream file("tests/data/text/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

// name -> number of pieces
inline const std::map<std::string, int>& TestModels() {
  static const auto* const models =
      new std::map<std::string, int>{{"unigram", 380}, {"bpe_bytes", 700}, {"unigram_plain", 370}, {"bpe_suffix", 400}};
  return *models;
}

inline model::v1::Vocabulary TestVocabulary(const std::string& name) {
  model::v1::Vocabulary vocabulary;
  vocabulary.set_size(TestModels().at(name));
  vocabulary.set_unk_id(0);
  vocabulary.set_bos_id(1);
  vocabulary.set_eos_id(2);
  vocabulary.mutable_sentencepiece()->set_file(name + ".model");
  return vocabulary;
}

inline std::unique_ptr<Tokenizer> LoadTestTokenizer(const std::string& name) {
  auto tokenizer = Tokenizer::Make(TestVocabulary(name), {{name + ".model", ReadTestFile(name + ".model")}});
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

// Valid UTF-8 of every plane, with spaces, composing characters, Korean, and what looks like special pieces.
inline std::string RandomText(std::mt19937& random) {
  static constexpr std::pair<char32_t, char32_t> kRanges[] = {
      {0x61, 0x7A},     {0x20, 0x7E},     {0x20, 0x20},     {0x00, 0x1F},       {0x80, 0x2FF},      {0x300, 0x36F},
      {0x1100, 0x11FF}, {0x2000, 0x206F}, {0x3000, 0x33FF}, {0xAC00, 0xD7A3},   {0xF900, 0xFFFD},   {0x2581, 0x2581},
      {0xFB00, 0xFB06}, {0xFDD0, 0xFDEF}, {0xFDFA, 0xFDFB}, {0x1F300, 0x1FAFF}, {0xE0000, 0xE01EF}, {0, 0x10FFFF}};
  static constexpr std::string_view kWords[] = {
      "</s>",   "<s>", "<unk>", "<pad>", "<0x41>",   "@@",   "▁",     "<br>",
      "<b",     " ",   "  ",    "함수",  "문자열을", "The ", "value", "\u1112\u1161\u11ab",
      "e\u0301"};
  std::string text;
  const int parts = std::uniform_int_distribution(0, 14)(random);
  for (int i = 0; i < parts; ++i) {
    if (std::uniform_int_distribution(0, 2)(random) == 0) {
      text += kWords[std::uniform_int_distribution<std::size_t>(0, std::size(kWords) - 1)(random)];
      continue;
    }
    const auto [first, last] = kRanges[std::uniform_int_distribution<std::size_t>(0, std::size(kRanges) - 1)(random)];
    const char32_t c = std::uniform_int_distribution<std::uint32_t>(first, last)(random);
    if (c < 0xD800 || c > 0xDFFF) AppendUtf8(c, &text);
  }
  return text;
}

// Fails unless `ranges` are in order, end between code points and cover every byte of `text` that is not White_Space.
inline void ExpectRangesCover(std::string_view text, const std::vector<ByteRange>& ranges) {
  const auto boundary = [text](int at) {
    return at == static_cast<int>(text.size()) || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
  };
  std::vector<bool> covered(text.size());
  ByteRange last;
  for (const ByteRange& range : ranges) {
    ASSERT_LE(0, range.begin);
    ASSERT_LE(range.begin, range.end);
    ASSERT_LE(range.end, static_cast<int>(text.size()));
    ASSERT_LE(last.begin, range.begin);
    ASSERT_LE(last.end, range.end);
    ASSERT_TRUE(boundary(range.begin) && boundary(range.end));
    ASSERT_EQ(TrimWhiteSpace(text, range), range) << "a range begins or ends with space";
    for (int i = range.begin; i < range.end; ++i) covered[i] = true;
    last = range;
  }
  for (std::size_t i = 0; i < text.size(); i += CodePointAt(text, i).size) {
    ASSERT_TRUE(covered[i] || IsWhiteSpace(CodePointAt(text, i).value)) << "byte " << i << " is in no range";
  }
}

}  // namespace heed::testing
