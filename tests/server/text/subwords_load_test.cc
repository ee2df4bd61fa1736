// What Tokenizer::Make refuses of lists of pieces and merges, and that nothing damaged crashes it.
#include <functional>
#include <random>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "server/text/bpe_merges.h"
#include "server/text/string_array.h"
#include "tests/server/text/subword_models.h"

namespace heed {
namespace {

using ::heed::testing::ExpectRangesCover;
using ::heed::testing::RandomText;
using ::heed::testing::ReadSubwordFile;
using ::heed::testing::SubwordNames;
using ::heed::testing::SubwordVocabulary;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::string MessageOf(const absl::StatusOr<T>& made) {
  if (made.ok()) return "loaded";
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
  std::string message(made.status().message());
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

std::string ArrayFault(const std::string& json) { return MessageOf(ParseStringArray(json, 2)); }

std::string MergesFault(const std::string& file, BpeMerges::Flavor flavor = BpeMerges::Flavor::kSubwordNmt) {
  return MessageOf(BpeMerges::Parse(file, flavor));
}

TEST(SubwordsLoad, ReadsStringsAsJsonHasThem) {
  const auto read = ParseStringArray(" [ \"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83d\\ude00é\" ,\n\"\"\t]\r\n", 2);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, ElementsAre("a\"\\/\b\f\n\r\té😀é", ""));
  EXPECT_EQ(MessageOf(ParseStringArray("[]", 0)), "loaded");
}

TEST(SubwordsLoad, RefusesWhatIsNoArrayOfStrings) {
  EXPECT_EQ(ArrayFault(R"(["a","b"])"), "loaded");
  EXPECT_EQ(ArrayFault(R"(["a"])"), "1 pieces, expected the vocabulary's size 2");
  EXPECT_EQ(ArrayFault(R"(["a","b","c"])"), "item 2: more pieces than the vocabulary's size 2");
  EXPECT_EQ(ArrayFault(""), "item 0: not well-formed JSON at byte 1");
  for (const std::string other : {R"({"a":1})", R"("a")", "7", "null", "true"}) {
    EXPECT_EQ(ArrayFault(other), "item 0: expected a JSON array of strings") << other;
  }
  for (const std::string other : {"7", "7.5", "-7", "null", "true", "{}", "[\"b\"]"}) {
    EXPECT_EQ(ArrayFault("[\"a\"," + other + "]"), "item 1: expected a string") << other;
  }
  EXPECT_EQ(ArrayFault(R"(["a",])"), "item 1: not well-formed JSON at byte 6");
  EXPECT_EQ(ArrayFault(R"(["a" "b"])"), "item 1: not well-formed JSON at byte 8");
  EXPECT_EQ(ArrayFault(R"(["a","b")"), "item 2: not well-formed JSON at byte 9");
  EXPECT_EQ(ArrayFault(R"(["a","b"] x)"), "item 2: not well-formed JSON at byte 11");
  EXPECT_EQ(ArrayFault(std::string("[\"a\",\"b\"]\0", 10)), "not well-formed JSON at byte 10");
  for (const std::string bad : {R"(["a","b)", "[\"a\",\"b\\", "[\"a\nb\"]", "[\"\xFF\"]", "[\"\xED\xA0\x80\"]"}) {
    EXPECT_THAT(ArrayFault(bad), HasSubstr("not well-formed JSON at byte ")) << bad;
  }
  for (const std::string bad :
       {"\\x", "\\u12", "\\u12g4", "\\u-123", "\\ud800", "\\udc00", "\\ud800x", "\\ud800\\u0041", "\\ud800\\ud800"}) {
    EXPECT_THAT(ArrayFault("[\"" + bad + "\"]"), HasSubstr("not well-formed JSON at byte ")) << bad;
  }
  EXPECT_THAT(ArrayFault("[\"" + std::string((64 << 10) + 1, 'a') + "\"]"), HasSubstr("more than 65536 bytes"));
  EXPECT_THAT(ArrayFault(std::string(1 << 20, '[')), HasSubstr("expected a string"));
}

TEST(SubwordsLoad, ReadsBothVersionsOfMerges) {
  for (const std::string file :
       {"a b\n", "#version: 0.1\na b", "#version: 0.2\r\na b\r\n\n", "#version: 0.2\n", "# b\n"}) {
    EXPECT_EQ(MergesFault(file), "loaded") << file;
  }
  const auto cut = [](const std::string& file, const std::string& word) {
    return BpeMerges::Parse(file, BpeMerges::Flavor::kSubwordNmt)->Cut(word);
  };
  EXPECT_THAT(cut("#version: 0.2\na b</w>\n", "ab"), ElementsAre(2));
  EXPECT_THAT(cut("#version: 0.2\na b\n", "abab"), ElementsAre(2, 1, 1)) << "the last b is \"b</w>\"";
  EXPECT_THAT(cut("a b\n", "abab"), ElementsAre(2, 2));
  EXPECT_THAT(cut("b </w>\na b</w>\na b\n", "abab"), ElementsAre(2, 2));
  // Every occurrence of a pair is merged before the next is looked for.
  EXPECT_THAT(cut("ab a\na b\n", "ababx"), ElementsAre(2, 2, 1));
  EXPECT_THAT(cut("x x\n", "xxxxxy"), ElementsAre(2, 2, 1, 1));
  // The same symbol made in two ways.
  EXPECT_THAT(cut("b c\nab c\na bc\na b\n", "abcx"), ElementsAre(3, 1));
  EXPECT_THAT(cut("a b\na bc\nab c\n", "abcx"), ElementsAre(3, 1));
}

TEST(SubwordsLoad, RefusesMalformedMerges) {
  EXPECT_EQ(MergesFault("#version: 0.3\na b\n"), "version \"0.3\", 0.1 and 0.2 are known");
  EXPECT_EQ(MergesFault("#version: 0.2\na b\nab\n"), "line 3 has 1 symbols, expected two with a space between");
  EXPECT_EQ(MergesFault("a b\n\nc d\n"), "line 2 has 0 symbols, expected two with a space between");
  EXPECT_EQ(MergesFault("a b c\n"), "line 1 has 3 symbols, expected two with a space between");
  EXPECT_EQ(MergesFault("a  b\n"), "line 1 has 3 symbols, expected two with a space between");
  EXPECT_EQ(MergesFault("a \xFF\n"), "not UTF-8");
  EXPECT_EQ(MergesFault("a " + std::string(1024, 'b')), "line 1 has a merge of 1025 bytes, at most 1024");
  EXPECT_THAT(MergesFault("v3;false;true;false;<w>;</w>\na b\n"), HasSubstr("learn_bpe.lua"));
  EXPECT_EQ(MergesFault("#version: 0.2\n# comment\na b\n", BpeMerges::Flavor::kOpenNmt), "loaded");
}

TEST(SubwordsLoad, ErrorsNameTheFile) {
  const model::v1::Vocabulary vocabulary =
      SubwordVocabulary(R"({"size":1,"pieces":"p.json","bpe":{"merges":"m.bpe"}})");
  const auto message = [&](const std::map<std::string, std::string>& files) {
    return MessageOf(Tokenizer::Make(vocabulary, files));
  };
  EXPECT_EQ(message({{"p.json", "[\"a\"]"}, {"m.bpe", "a b"}}), "loaded");
  EXPECT_EQ(message({{"p.json", "[]"}, {"m.bpe", "a b"}}), "p.json: 0 pieces, expected the vocabulary's size 1");
  EXPECT_EQ(message({{"p.json", "[\"a\"]"}, {"m.bpe", "a"}}),
            "m.bpe: line 1 has 1 symbols, expected two with a space between");
  EXPECT_EQ(message({{"p.json", "[\"a\"]"}}), "model.json: tokenizer file \"m.bpe\" is not in the bundle");
}

// A damaged file is refused, or it loads and then works on any text.
TEST(SubwordsLoad, NoDamagedFileCrashes) {
  int loaded = 0, refused = 0;
  for (const std::string& name : SubwordNames()) {
    const model::v1::Vocabulary vocabulary = SubwordVocabulary(ReadSubwordFile(name + ".json"));
    std::map<std::string, std::string> files;
    for (const std::string& file : {vocabulary.pieces(), vocabulary.bpe().merges(), vocabulary.opennmt().merges()}) {
      if (!file.empty()) files[file] = ReadSubwordFile(file);
    }
    if (vocabulary.has_sentencepiece()) continue;  // tokenizer_load_test.cc
    std::mt19937 random(11);
    for (int round = 0; round < 60; ++round) {
      auto damaged = files;
      for (auto& [file, bytes] : damaged) {
        if (round % 2 == 1 && file == vocabulary.pieces()) continue;
        for (int i = std::uniform_int_distribution(0, 20)(random); i > 0; --i) {
          const std::size_t at = std::uniform_int_distribution<std::size_t>(0, bytes.size() - 1)(random);
          bytes[at] = "ab @<>/w\n\"\\\xC3"[std::uniform_int_distribution(0, 11)(random)];
        }
      }
      const auto tokenizer = Tokenizer::Make(vocabulary, damaged);
      if (!tokenizer.ok()) {
        ++refused;
        EXPECT_NE(MessageOf(tokenizer), "");
        continue;
      }
      ++loaded;
      for (int i = 0; i < 20; ++i) {
        const std::string text = RandomText(random) + "ab</w> the w@@";
        const EncodedText encoded = (*tokenizer)->Encode(text);
        ASSERT_NO_FATAL_FAILURE(ExpectRangesCover(text, encoded.ranges)) << name;
        const DecodedText decoded = (*tokenizer)->Decode(encoded.ids);
        ASSERT_TRUE(IsValidUtf8(decoded.text));
        ASSERT_NO_FATAL_FAILURE(ExpectRangesCover(decoded.text, decoded.ranges)) << name;
      }
    }
  }
  EXPECT_GT(loaded, 20);
  EXPECT_GT(refused, 20);
}

}  // namespace
}  // namespace heed
