#include "server/text/tokenizer.h"

#include <chrono>
#include <sstream>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "server/text/text_decoder.h"
#include "server/text/utf8.h"
#include "tests/server/text/text_models.h"

namespace heed {
namespace {

using ::heed::testing::ExpectRangesCover;
using ::heed::testing::LoadTestTokenizer;
using ::heed::testing::RandomText;
using ::heed::testing::ReadTestFile;
using ::heed::testing::TestModels;
using ::testing::ElementsAre;

std::vector<std::string> Pieces(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::vector<std::string> pieces;
  for (TokenId id : ids) pieces.emplace_back(tokenizer.Piece(id));
  return pieces;
}

TEST(Tokenizer, IdsAndDecodedTextsAreThoseOfSentencePiece) {
  std::map<std::string, std::unique_ptr<Tokenizer>> tokenizers;
  for (const auto& [name, size] : TestModels()) tokenizers[name] = LoadTestTokenizer(name);
  std::istringstream lines(ReadTestFile("expected.tsv"));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    std::istringstream fields(line);
    std::string what, name, hex, id;
    std::getline(fields, what, '\t');
    std::getline(fields, name, '\t');
    std::getline(fields, hex, '\t');
    std::vector<TokenId> ids;
    while (fields >> id) ids.push_back(std::stoi(id));
    const std::string text = absl::HexStringToBytes(hex);
    if (what == "encode") {
      EXPECT_EQ(tokenizers.at(name)->Encode(text).ids, ids) << name << ": " << absl::CHexEscape(text);
    } else {
      EXPECT_EQ(tokenizers.at(name)->Decode(ids).text, text) << name << ": " << line;
    }
  }
  EXPECT_GT(count, 500);
}

TEST(Tokenizer, RangesOfWordsLeaveTheirSpacesOut) {
  const auto tokenizer = LoadTestTokenizer("unigram");
  const EncodedText encoded = tokenizer->Encode("  the  strings ");
  EXPECT_THAT(Pieces(*tokenizer, encoded.ids), ElementsAre("▁", "the", "▁string", "s"));
  EXPECT_THAT(encoded.ranges, ElementsAre(ByteRange{2, 2}, ByteRange{2, 5}, ByteRange{7, 13}, ByteRange{13, 14}));
  const DecodedText decoded = tokenizer->Decode(encoded.ids);
  EXPECT_EQ(decoded.text, "the strings");
  EXPECT_THAT(decoded.ranges, ElementsAre(ByteRange{0, 0}, ByteRange{0, 3}, ByteRange{4, 10}, ByteRange{10, 11}));
}

TEST(Tokenizer, PiecesOfOneCodePointShareItsRange) {
  const auto unigram = LoadTestTokenizer("unigram");
  // U+3322 becomes three katakana (one unknown), the ligature two letters, the half three characters.
  const EncodedText ligature = unigram->Encode("aﬁle");
  EXPECT_THAT(Pieces(*unigram, ligature.ids), ElementsAre("▁a", "f", "i", "le"));
  EXPECT_THAT(ligature.ranges, ElementsAre(ByteRange{0, 1}, ByteRange{1, 4}, ByteRange{1, 4}, ByteRange{4, 6}));

  const auto bytes = LoadTestTokenizer("bpe_bytes");
  const EncodedText emoji = bytes->Encode("a😀");
  EXPECT_THAT(Pieces(*bytes, emoji.ids), ElementsAre("▁a", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>"));
  const ByteRange shared = {1, 5};
  EXPECT_THAT(emoji.ranges, ElementsAre(ByteRange{0, 1}, shared, shared, shared, shared));
}

TEST(Tokenizer, ASpaceInsideOneCodePointSharesItsRange) {
  const auto tokenizer = LoadTestTokenizer("unigram");
  const EncodedText encoded = tokenizer->Encode("ﷺ");  // becomes four words, all unknown
  EXPECT_THAT(Pieces(*tokenizer, encoded.ids), ElementsAre("▁", "<unk>", "▁", "<unk>", "▁", "<unk>", "▁", "<unk>"));
  EXPECT_EQ(encoded.ranges[0], (ByteRange{0, 0}));
  for (std::size_t i = 1; i < encoded.ranges.size(); ++i) EXPECT_EQ(encoded.ranges[i], (ByteRange{0, 3}));
}

TEST(Tokenizer, ComposedCodePointsAreOneRange) {
  const auto tokenizer = LoadTestTokenizer("unigram");
  const EncodedText encoded = tokenizer->Encode("\u1112\u1161\u11b7수");  // 함 in three code points
  EXPECT_EQ(Pieces(*tokenizer, encoded.ids), Pieces(*tokenizer, tokenizer->Encode("함수").ids));
  ExpectRangesCover("\u1112\u1161\u11b7수", encoded.ranges);
  EXPECT_EQ(encoded.ranges.front().begin, 0);
}

TEST(Tokenizer, DeletedCharactersBelongToANeighbour) {
  const auto tokenizer = LoadTestTokenizer("unigram");
  // The left neighbour takes what touches it, the right one the rest; U+200B becomes a space, U+0001 nothing.
  EXPECT_THAT(tokenizer->Encode("string\x01 string").ranges, ElementsAre(ByteRange{0, 7}, ByteRange{8, 14}));
  EXPECT_THAT(tokenizer->Encode("string \u200b string").ranges, ElementsAre(ByteRange{0, 6}, ByteRange{7, 17}));
  EXPECT_THAT(tokenizer->Encode("\u200bstring\ufeff").ranges, ElementsAre(ByteRange{0, 12}));
  EXPECT_THAT(tokenizer->Encode("\x01\u200b").ids, ElementsAre());
}

TEST(Tokenizer, TextThatLooksLikeASpecialPieceIsText) {
  for (const auto& [name, size] : TestModels()) {
    const auto tokenizer = LoadTestTokenizer(name);
    for (std::string_view text : {"</s>", "<s>", "<unk>", "<pad>", "<0x41>", "@@", "a </s> b", "</s></s>"}) {
      const EncodedText encoded = tokenizer->Encode(text);
      for (TokenId id : encoded.ids) EXPECT_FALSE(tokenizer->IsSpecial(id)) << name << ": " << text;
      ExpectRangesCover(text, encoded.ranges);
    }
  }
  const auto tokenizer = LoadTestTokenizer("bpe_bytes");
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode("a </s> <0x41> <pad> @@").ids).text, "a </s> <0x41> <pad> @@");
}

TEST(Tokenizer, TheSpaceSymbolInATextIsASpaceAsItIsToSentencePiece) {
  // nmt_nfkc makes a space of it, the identity leaves it, and it is spelt as a space is.
  const auto unigram = LoadTestTokenizer("unigram");
  EXPECT_EQ(unigram->Encode("the▁string ▁").ids, unigram->Encode("the string").ids);
  EXPECT_THAT(unigram->Encode("the▁string ▁").ranges, ElementsAre(ByteRange{0, 0}, ByteRange{0, 6}, ByteRange{6, 16}));
  const auto suffix = LoadTestTokenizer("bpe_suffix");
  EXPECT_EQ(suffix->Encode("the▁string▁").ids, suffix->Encode("the string").ids);
  ExpectRangesCover("the▁string▁", suffix->Encode("the▁string▁").ranges);
  const auto plain = LoadTestTokenizer("unigram_plain");
  EXPECT_EQ(plain->Encode("▁the▁ string").ids, plain->Encode(" the  string").ids);
  EXPECT_EQ(plain->Decode(plain->Encode("▁the▁ string").ids).text, " the  string");
}

TEST(Tokenizer, RangesOfRandomTextsAreOrderedAndCoverThem) {
  for (const auto& [name, size] : TestModels()) {
    const auto tokenizer = LoadTestTokenizer(name);
    std::mt19937 random(7);
    for (int i = 0; i < 4000; ++i) {
      const std::string text = RandomText(random);
      const EncodedText encoded = tokenizer->Encode(text);
      ASSERT_EQ(encoded.ids.size(), encoded.ranges.size());
      for (TokenId id : encoded.ids) ASSERT_FALSE(tokenizer->IsSpecial(id));
      SCOPED_TRACE(name + ": " + absl::CHexEscape(text));
      if (encoded.ids.empty()) continue;  // spaces and deleted characters alone
      ASSERT_NO_FATAL_FAILURE(ExpectRangesCover(text, encoded.ranges));
    }
  }
}

TEST(Tokenizer, RangesOfDecodedIdsAreOrderedAndCoverTheText) {
  for (const auto& [name, size] : TestModels()) {
    const auto tokenizer = LoadTestTokenizer(name);
    std::mt19937 random(8);
    for (int i = 0; i < 4000; ++i) {
      std::vector<TokenId> ids(std::uniform_int_distribution(0, 12)(random));
      for (TokenId& id : ids) id = std::uniform_int_distribution(-2, size + 1)(random);
      const DecodedText decoded = tokenizer->Decode(ids);
      ASSERT_EQ(decoded.ranges.size(), ids.size());
      ASSERT_TRUE(IsValidUtf8(decoded.text));
      ASSERT_NO_FATAL_FAILURE(ExpectRangesCover(decoded.text, decoded.ranges));
      for (std::size_t k = 0; k < ids.size(); ++k) {
        if (tokenizer->IsSpecial(ids[k])) {
          ASSERT_EQ(decoded.ranges[k].begin, decoded.ranges[k].end);
        }
      }
    }
  }
}

TEST(Tokenizer, DecodedBytesOfOneCharacterShareItsRangeAndStrayOnesAreReplaced) {
  const auto tokenizer = LoadTestTokenizer("bpe_bytes");
  const std::vector<TokenId> emoji = tokenizer->Encode("😀").ids;  // "▁" and four bytes
  ASSERT_EQ(emoji.size(), 5u);
  const DecodedText decoded = tokenizer->Decode({emoji[1], emoji[2], emoji[3], emoji[4], 2, emoji[2]});
  EXPECT_EQ(decoded.text, "😀\uFFFD");
  EXPECT_THAT(decoded.ranges, ElementsAre(ByteRange{0, 4}, ByteRange{0, 4}, ByteRange{0, 4}, ByteRange{0, 4},
                                          ByteRange{4, 4}, ByteRange{4, 7}));
}

TEST(Tokenizer, IdsOutsideTheVocabularyAreUnknown) {
  const auto tokenizer = LoadTestTokenizer("unigram");
  EXPECT_EQ(tokenizer->Decode({-1, 380, 1 << 30}).text, tokenizer->Decode({0, 0, 0}).text);
  EXPECT_EQ(tokenizer->Piece(-1), "<unk>");
  EXPECT_FALSE(tokenizer->IsSpecial(380));
  EXPECT_FALSE(tokenizer->IsSpecial(0));
  EXPECT_TRUE(tokenizer->IsSpecial(1));
  EXPECT_TRUE(tokenizer->IsSpecial(2));
  EXPECT_TRUE(LoadTestTokenizer("bpe_bytes")->IsSpecial(3)) << "padding";
}

TEST(Tokenizer, SpellingsArePiecesAndUnknownsSpellThemselves) {
  const auto unigram = LoadTestTokenizer("unigram");
  EXPECT_THAT(unigram->Encode("the 漢字 </s>▁").spellings, ElementsAre("▁", "the", "▁", "漢字", "▁", "</", "s", ">"));
  const auto bytes = LoadTestTokenizer("bpe_bytes");
  EXPECT_THAT(bytes->Encode("a漢").spellings, ElementsAre("▁a", "<0xE6>", "<0xBC>", "<0xA2>"));
  for (const auto& [name, size] : TestModels()) {
    const auto tokenizer = LoadTestTokenizer(name);
    std::mt19937 random(9);
    for (int i = 0; i < 500; ++i) {
      const EncodedText encoded = tokenizer->Encode(RandomText(random));
      ASSERT_EQ(encoded.spellings.size(), encoded.ids.size());
      for (std::size_t k = 0; k < encoded.ids.size(); ++k) {
        if (encoded.ids[k] == 0) {
          ASSERT_EQ(tokenizer->Find(encoded.spellings[k]), std::nullopt) << name;
        } else {
          ASSERT_EQ(tokenizer->Find(encoded.spellings[k]), encoded.ids[k]) << name;
        }
      }
    }
  }
}

TEST(Tokenizer, SpecialsAndTheUnknownPieceAreNeverFound) {
  for (const auto& [name, size] : TestModels()) {
    const auto tokenizer = LoadTestTokenizer(name);
    for (std::string_view piece : {"<unk>", "<s>", "</s>", "<pad>", ""})
      EXPECT_EQ(tokenizer->Find(piece), std::nullopt);
  }
}

// What is told while tokens come must stand when the last has come.
TEST(TextDecoder, NeverTakesBackTextOrSettledRanges) {
  std::mt19937 random(12);
  for (const auto& [name, size] : TestModels()) {
    const auto tokenizer = LoadTestTokenizer(name);
    for (int round = 0; round < 200; ++round) {
      std::vector<TokenId> ids;
      for (int i = 0; i < 30; ++i) ids.push_back(static_cast<TokenId>(random() % static_cast<unsigned>(size)));
      const DecodedText whole = tokenizer->Decode(ids);
      ASSERT_EQ(whole.ranges.size(), ids.size());
      const auto decoder = tokenizer->StartDecoding();
      for (const TokenId id : ids) {
        decoder->Add(id);
        const DecodedText& now = decoder->decoded();
        ASSERT_TRUE(IsValidUtf8(now.text)) << "half a character";
        ASSERT_EQ(now.text, whole.text.substr(0, now.text.size())) << name;
        for (std::size_t t = 0; t < decoder->settled(); ++t) ASSERT_EQ(now.ranges[t], whole.ranges[t]) << name;
      }
    }
  }
}

TEST(TextDecoder, BytesBecomeTheCharactersThatTheWholeRunHasInIt) {
  const auto tokenizer = LoadTestTokenizer("bpe_bytes");
  const TokenId zero = *tokenizer->Find("<0x00>");
  std::mt19937 random(13);
  const std::vector<unsigned char> likely = {0x41, 0x80, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2,
                                             0xE0, 0xE3, 0xED, 0xF0, 0xF4, 0xFF};
  for (int round = 0; round < 3000; ++round) {
    std::vector<TokenId> ids;
    std::string run;
    for (int i = 0; i < 8; ++i) {
      const unsigned char byte = likely[random() % likely.size()];
      run.push_back(static_cast<char>(byte));
      ids.push_back(zero + byte);
    }
    std::string text;
    for (std::size_t at = 0; at < run.size();) {
      const std::string character = run.substr(at, static_cast<std::size_t>(CodePointAt(run, at).size));
      text += IsValidUtf8(character) ? character : "\uFFFD";
      at += character.size();
    }
    ASSERT_EQ(tokenizer->Decode(ids).text, text);
  }
}

TEST(TextDecoder, ACharacterIsThereWithItsLastByte) {
  const auto tokenizer = LoadTestTokenizer("bpe_bytes");
  const std::vector<TokenId> ids = tokenizer->Encode("漢").ids;
  ASSERT_GE(ids.size(), 3u);
  const auto decoder = tokenizer->StartDecoding();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(decoder->decoded().text, "") << i;
    decoder->Add(ids[i]);
  }
  EXPECT_EQ(decoder->decoded().text, "漢");
  EXPECT_EQ(decoder->settled(), ids.size());
}

TEST(Tokenizer, GivenTokensAreWrittenAsTheyWereTyped) {
  const auto tokenizer = LoadTestTokenizer("unigram");
  const std::vector<TokenId> ids = tokenizer->Encode("the strings ").ids;  // "▁" "the" "▁string" "s"
  ASSERT_EQ(ids.size(), 4u);
  const DecodedText joined = tokenizer->Decode({ids[0], 0, ids[2], 380}, {{.index = 1, .spelling = "漢", .text = "Ａ▁"},
                                                                          {.index = 3, .spelling = "▁x", .text = "y"}});
  EXPECT_EQ(joined.text, "Ａ▁ string y");
  EXPECT_THAT(joined.ranges, ElementsAre(ByteRange{0, 0}, ByteRange{0, 6}, ByteRange{7, 13}, ByteRange{14, 15}));
  const DecodedText first = tokenizer->Decode({2, ids[2]}, {{.index = 0, .spelling = "▁x", .text = "y z"}});
  EXPECT_EQ(first.text, "y z string") << "the special's id is not read";
  EXPECT_THAT(first.ranges, ElementsAre(ByteRange{0, 3}, ByteRange{4, 10}));
  const auto suffix = LoadTestTokenizer("bpe_suffix");
  EXPECT_EQ(
      suffix->Decode({0, 0}, {{.index = 0, .spelling = "x▁", .text = "y"}, {.index = 1, .spelling = "z", .text = "z"}})
          .text,
      "y z");
}

TEST(Tokenizer, EncodingTimeGrowsWithTheTextNotItsSquare) {
  for (const auto& [name, size] : TestModels()) {
    const auto tokenizer = LoadTestTokenizer(name);
    for (const std::string unit : {"a", "漢", "함수", "\x01", " ", "▁", "<br>", "e\u0301"}) {
      std::string text;
      while (text.size() < (std::size_t{1} << 20)) text += unit;
      const auto start = std::chrono::steady_clock::now();
      tokenizer->Encode(text);
      // Quadratic work on a megabyte takes minutes at least; the bound leaves room for sanitizers.
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << name << ": " << unit;
    }
  }
}

}  // namespace
}  // namespace heed
