// What Tokenizer::Make refuses, and that no damaged model crashes it.
#include <google/protobuf/unknown_field_set.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "server/text/tokenizer.h"
#include "tests/server/text/text_models.h"

namespace heed {
namespace {

using ::google::protobuf::UnknownFieldSet;
using ::heed::testing::ExpectRangesCover;
using ::heed::testing::RandomText;
using ::heed::testing::ReadTestFile;
using ::heed::testing::TestModels;
using ::heed::testing::TestVocabulary;
using ::testing::HasSubstr;

std::string MessageOf(const model::v1::Vocabulary& vocabulary, const std::string& file) {
  const auto tokenizer = Tokenizer::Make(vocabulary, {{vocabulary.sentencepiece().file(), file}});
  if (tokenizer.ok()) return "loaded";
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
  std::string message(tokenizer.status().message());
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

// The unigram model after `change` to one of its sub-messages: field `number`, occurrence `index`.
std::string Changed(int number, int index, const std::function<void(UnknownFieldSet*)>& change) {
  UnknownFieldSet model;
  EXPECT_TRUE(model.ParseFromString(ReadTestFile("unigram.model")));
  for (int i = 0; i < model.field_count(); ++i) {
    if (model.field(i).number() != number || index-- != 0) continue;
    UnknownFieldSet part;
    EXPECT_TRUE(part.ParseFromString(model.field(i).length_delimited()));
    change(&part);
    part.SerializeToString(model.mutable_field(i)->mutable_length_delimited());
  }
  std::string bytes;
  model.SerializeToString(&bytes);
  return bytes;
}

std::string WithPiece(int id, const std::string& text) {
  return Changed(1, id, [&](UnknownFieldSet* piece) { piece->AddLengthDelimited(1, text); });
}

constexpr int kTrainer = 2, kNormalizer = 3;

TEST(TokenizerLoad, RefusesModelsThatDoNotAgreeWithTheVocabulary) {
  const std::string file = ReadTestFile("unigram.model");
  const model::v1::Vocabulary good = TestVocabulary("unigram");
  EXPECT_EQ(MessageOf(good, file), "loaded");
  model::v1::Vocabulary vocabulary = good;
  vocabulary.set_size(381);
  EXPECT_EQ(MessageOf(vocabulary, file), "unigram.model: the model has 380 pieces, expected the vocabulary's size 381");
  vocabulary = good;
  vocabulary.set_unk_id(3);
  EXPECT_EQ(MessageOf(vocabulary, file), "unigram.model: unk_id is 3 but the model's unknown piece is 0");
  vocabulary = good;
  vocabulary.set_eos_id(1);
  EXPECT_EQ(MessageOf(vocabulary, file), "unigram.model: eos_id is 1 but that piece of the model is 2");
  for (int id : {-1, 3, 380}) {
    vocabulary.set_eos_id(id);
    EXPECT_THAT(MessageOf(vocabulary, file), HasSubstr("is no control piece of the model"));
  }
  vocabulary = good;
  vocabulary.set_bos_id(2);  // toolkits that start with </s>
  EXPECT_EQ(MessageOf(vocabulary, file), "loaded");
  vocabulary.clear_bos_id();
  vocabulary.clear_eos_id();
  EXPECT_EQ(MessageOf(vocabulary, file), "loaded");
}

TEST(TokenizerLoad, RefusesAMissingFileAndAVocabularyWithoutTokenizer) {
  EXPECT_THAT(Tokenizer::Make(TestVocabulary("unigram"), {}).status().message(), HasSubstr("unigram.model"));
  EXPECT_EQ(Tokenizer::Make(model::v1::Vocabulary(), {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(TokenizerLoad, RefusesMalformedPieces) {
  const model::v1::Vocabulary vocabulary = TestVocabulary("unigram");
  EXPECT_THAT(MessageOf(vocabulary, WithPiece(9, "")), HasSubstr("piece 9 has 0 bytes"));
  EXPECT_THAT(MessageOf(vocabulary, WithPiece(9, std::string(513, 'a'))), HasSubstr("piece 9 has 513 bytes, 1 to 512"));
  EXPECT_THAT(MessageOf(vocabulary, WithPiece(9, "\xC3")), HasSubstr("piece 9 is not UTF-8"));
  EXPECT_THAT(MessageOf(vocabulary, WithPiece(9, std::string("a\0b", 3))), HasSubstr("piece 9 is not UTF-8"));
  EXPECT_THAT(MessageOf(vocabulary, WithPiece(9, "</s>")), HasSubstr("piece 9 is spelt like piece 2"));
  const auto with_score = [](float score) {
    return Changed(1, 9, [score](UnknownFieldSet* piece) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, &score, sizeof(bits));
      piece->AddFixed32(2, bits);
    });
  };
  EXPECT_THAT(MessageOf(vocabulary, with_score(std::numeric_limits<float>::quiet_NaN())), HasSubstr("finite score"));
  EXPECT_THAT(MessageOf(vocabulary, with_score(std::numeric_limits<float>::infinity())), HasSubstr("finite score"));
  const auto with_type = [](int id, int type) {
    return Changed(1, id, [type](UnknownFieldSet* piece) { piece->AddVarint(3, type); });
  };
  EXPECT_THAT(MessageOf(vocabulary, with_type(9, 7)), HasSubstr("piece 9 has type 7"));
  EXPECT_THAT(MessageOf(vocabulary, with_type(9, 2)), HasSubstr("piece 9 is a second unknown piece"));
  EXPECT_THAT(MessageOf(vocabulary, with_type(0, 1)), HasSubstr("no unknown piece"));
  EXPECT_THAT(MessageOf(vocabulary, with_type(9, 6)), HasSubstr("piece 9 is a byte"));
  EXPECT_THAT(MessageOf(vocabulary, with_type(2, 4)), HasSubstr("eos_id 2 is no control piece"))
      << "text could spell a special that is user-defined";
}

TEST(TokenizerLoad, RefusesWhatItDoesNotSupport) {
  const model::v1::Vocabulary vocabulary = TestVocabulary("unigram");
  const auto trainer = [](int number, int value) {
    return Changed(kTrainer, 0, [=](UnknownFieldSet* spec) { spec->AddVarint(number, value); });
  };
  EXPECT_THAT(MessageOf(vocabulary, trainer(3, 3)), HasSubstr("model type 3 is not unigram (1) or BPE (2)"));
  EXPECT_THAT(MessageOf(vocabulary, trainer(35, 1)), HasSubstr("has no piece <0x00>"));
  EXPECT_THAT(MessageOf(vocabulary, Changed(kNormalizer, 0, [](UnknownFieldSet* spec) { spec->AddVarint(5, 0); })),
              HasSubstr("do not escape spaces"));
  UnknownFieldSet model;
  ASSERT_TRUE(model.ParseFromString(ReadTestFile("unigram.model")));
  model.AddGroup(4)->AddVarint(1, 1);  // not what the schema has there: ignored, as by any parser
  model.AddLengthDelimited(5)->append("\x12\x01x");
  std::string bytes;
  model.SerializeToString(&bytes);
  EXPECT_THAT(MessageOf(vocabulary, bytes), HasSubstr("denormalisation"));
}

TEST(TokenizerLoad, RefusesMalformedCharacterMaps) {
  const model::v1::Vocabulary vocabulary = TestVocabulary("unigram");
  const auto with_map = [](const std::string& map) {
    return Changed(kNormalizer, 0, [&](UnknownFieldSet* spec) { spec->AddLengthDelimited(2, map); });
  };
  const auto map = [](std::uint32_t trie_bytes, const std::string& rest) {
    std::string bytes(4, '\0');
    std::memcpy(bytes.data(), &trie_bytes, 4);
    return bytes + rest;
  };
  EXPECT_EQ(MessageOf(vocabulary, with_map("")), "loaded");
  EXPECT_THAT(MessageOf(vocabulary, with_map("abc")), HasSubstr("has no trie"));
  EXPECT_THAT(MessageOf(vocabulary, with_map(map(0, "x"))), HasSubstr("trie says 0 bytes"));
  EXPECT_THAT(MessageOf(vocabulary, with_map(map(8, "12345678"))), HasSubstr("trie says 8 bytes of the 8"));
  EXPECT_THAT(MessageOf(vocabulary, with_map(map(4, "1234a"))), HasSubstr("NUL-terminated"));
  EXPECT_THAT(MessageOf(vocabulary, with_map(map(4, std::string("1234\xFF\0", 6)))), HasSubstr("UTF-8"));
  EXPECT_THAT(MessageOf(vocabulary, with_map(map(4, std::string("1234") + std::string(256, 'a') + '\0'))),
              HasSubstr("gives 256 bytes, at most 255"));
}

TEST(TokenizerLoad, NoTruncatedModelLoads) {
  for (const auto& [name, size] : TestModels()) {
    const std::string file = ReadTestFile(name + ".model");
    for (std::size_t length = 0; length < file.size(); length += 1 + length / 7) {
      EXPECT_NE(MessageOf(TestVocabulary(name), file.substr(0, length)), "loaded") << name << " cut at " << length;
    }
  }
}

// A damaged model is refused, or it loads and then works on any text: nothing it says leads out of bounds.
TEST(TokenizerLoad, NoDamagedModelCrashes) {
  int loaded = 0, refused = 0;
  for (const auto& [name, size] : TestModels()) {
    const std::string file = ReadTestFile(name + ".model");
    std::mt19937 random(11);
    for (int round = 0; round < 150; ++round) {
      std::string damaged = file;
      const int faults = std::uniform_int_distribution(1, round % 3 == 0 ? 400 : 4)(random);
      for (int i = 0; i < faults; ++i) {
        const std::size_t at = std::uniform_int_distribution<std::size_t>(0, damaged.size() - 1)(random);
        damaged[at] = static_cast<char>(std::uniform_int_distribution(0, 255)(random));
      }
      auto tokenizer = Tokenizer::Make(TestVocabulary(name), {{name + ".model", damaged}});
      if (!tokenizer.ok()) {
        ++refused;
        continue;
      }
      ++loaded;
      for (int i = 0; i < 20; ++i) {
        const std::string text = RandomText(random);
        const EncodedText encoded = (*tokenizer)->Encode(text);
        if (!encoded.ids.empty()) {
          ASSERT_NO_FATAL_FAILURE(ExpectRangesCover(text, encoded.ranges));
        }
        const DecodedText decoded = (*tokenizer)->Decode(encoded.ids);
        ASSERT_TRUE(IsValidUtf8(decoded.text));
        ASSERT_NO_FATAL_FAILURE(ExpectRangesCover(decoded.text, decoded.ranges));
      }
    }
  }
  EXPECT_GT(loaded, 20);
  EXPECT_GT(refused, 20);
}

// Trie units that point everywhere: walks must stay inside and end.
TEST(TokenizerLoad, RandomCharacterMapsAreWalkedWithinBounds) {
  std::mt19937 random(12);
  for (int round = 0; round < 60; ++round) {
    const std::uint32_t units = std::uniform_int_distribution(1, 700)(random);
    std::string map(4, '\0');
    const std::uint32_t trie_bytes = units * 4;
    std::memcpy(map.data(), &trie_bytes, 4);
    for (std::uint32_t i = 0; i < units; ++i) {
      // Every second unit leads back into the trie under the label that it would be found by.
      const std::uint32_t unit = i % 2 == 0 ? random() : ((random() % units) << 10) | (random() & 0x1FF);
      map.append(reinterpret_cast<const char*>(&unit), 4);
    }
    map += std::string("abc\0\0가나\0", 12);
    const std::string file = Changed(kNormalizer, 0, [&](UnknownFieldSet* spec) { spec->AddLengthDelimited(2, map); });
    auto tokenizer = Tokenizer::Make(TestVocabulary("unigram"), {{"unigram.model", file}});
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
    for (int i = 0; i < 50; ++i) {
      const std::string text = RandomText(random);
      const EncodedText encoded = (*tokenizer)->Encode(text);
      if (!encoded.ids.empty()) {
        ASSERT_NO_FATAL_FAILURE(ExpectRangesCover(text, encoded.ranges));
      }
    }
  }
}

}  // namespace
}  // namespace heed
