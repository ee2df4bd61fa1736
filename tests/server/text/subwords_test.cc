// The tokenisers of listed vocabularies: ids and texts are those of the toolkits' own code, ranges are exact.
#include <unicode/uchar.h>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/text/lowercase.h"
#include "tests/server/text/subword_models.h"

namespace heed {
namespace {

using ::heed::testing::ExpectRangesCover;
using ::heed::testing::LoadSubwordTokenizer;
using ::heed::testing::MakeTokenizer;
using ::heed::testing::RandomText;
using ::heed::testing::ReadSubwordFile;
using ::heed::testing::SubwordNames;
using ::heed::testing::SubwordVocabulary;
using ::testing::ElementsAre;

std::vector<std::string> Slices(std::string_view text, const std::vector<ByteRange>& ranges) {
  std::vector<std::string> slices;
  for (const ByteRange& range : ranges) slices.emplace_back(text.substr(range.begin, range.end - range.begin));
  return slices;
}

TEST(Subwords, IdsAndTextsAreThoseOfTheToolkits) {
  std::map<std::string, std::unique_ptr<Tokenizer>> tokenizers;
  for (const std::string& name : SubwordNames()) tokenizers[name] = LoadSubwordTokenizer(name);
  std::map<std::string, std::pair<int, int>> equal;  // of how many
  int toolkit_ranges = 0;
  std::istringstream lines(ReadSubwordFile("expected.tsv"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string what, name, hex, id;
    std::getline(fields, what, '\t');
    std::getline(fields, name, '\t');
    std::getline(fields, hex, '\t');
    if (what != "encode" && what != "decode") continue;
    std::string numbers, range;
    std::getline(fields, numbers, '\t');
    std::istringstream row(numbers);
    std::vector<TokenId> ids;
    while (row >> id) ids.push_back(std::stoi(id));
    const std::string text = absl::HexStringToBytes(hex);
    bool same = false;
    if (what == "encode") {
      const EncodedText encoded = tokenizers.at(name)->Encode(text);
      same = encoded.ids == ids;
      EXPECT_THAT(encoded.ids, ::testing::ElementsAreArray(ids)) << name << ": " << absl::CHexEscape(text);
      if (!ids.empty()) ExpectRangesCover(text, encoded.ranges);
    } else {
      const DecodedText decoded = tokenizers.at(name)->Decode(ids);
      same = decoded.text == text;
      EXPECT_EQ(decoded.text, text) << name << ": " << line;
      ExpectRangesCover(decoded.text, decoded.ranges);
      for (std::size_t i = 0; fields >> range; ++i, ++toolkit_ranges) {
        if (range == "?") continue;
        EXPECT_EQ(absl::StrCat(decoded.ranges[i].begin, "-", decoded.ranges[i].end), range) << name << ": " << line;
      }
    }
    auto& [number, of] = equal[absl::StrCat(what, " ", name)];
    number += static_cast<int>(same);
    ++of;
  }
  for (const auto& [what, number] : equal) {
    std::cout << what << ": " << number.first << " of " << number.second << "\n";
    EXPECT_GT(number.second, 50);
  }
  EXPECT_EQ(equal.size(), 2 * SubwordNames().size());
  EXPECT_GT(toolkit_ranges, 2000);
}

// FNV-1a of every code point lower-cased by itself that Unicode 14 (Python 3.11's) assigns.
std::uint64_t HashOfAllLowered() {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (char32_t c = 0; c < 0x110000; ++c) {
    UVersionInfo age;
    u_charAge(static_cast<UChar32>(c), age);
    const auto type = u_charType(static_cast<UChar32>(c));
    if (age[0] > 14 || type == U_UNASSIGNED || type == U_SURROGATE) continue;
    std::string text;
    AppendUtf8(c, &text);
    for (const char byte : Lowercase(text).text) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3;
  }
  return hash;
}

TEST(Subwords, LowerCaseIsPythons) {
  std::istringstream lines(ReadSubwordFile("expected.tsv"));
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string what, from, to;
    fields >> what >> from >> from >> to;
    if (what == "lower") {
      const std::string text = absl::HexStringToBytes(from);
      EXPECT_EQ(absl::CHexEscape(Lowercase(text).text), absl::CHexEscape(absl::HexStringToBytes(to))) << text;
      ++count;
    }
    if (what == "lower-all") {
      EXPECT_EQ(absl::StrCat(absl::Hex(HashOfAllLowered(), absl::kZeroPad16)), from);
      ++count;
    }
  }
  EXPECT_EQ(count, 301);
}

TEST(Subwords, RangesOfRandomTextsAreOrderedAndCoverThem) {
  for (const std::string& name : SubwordNames()) {
    const auto tokenizer = LoadSubwordTokenizer(name);
    const TokenId unk_id = SubwordVocabulary(ReadSubwordFile(name + ".json")).unk_id();
    std::mt19937 random(7);
    for (int i = 0; i < 3000; ++i) {
      const std::string text = RandomText(random);
      const EncodedText encoded = tokenizer->Encode(text);
      ASSERT_EQ(encoded.ids.size(), encoded.ranges.size());
      ASSERT_EQ(encoded.ids.size(), encoded.spellings.size());
      for (std::size_t k = 0; k < encoded.ids.size(); ++k) {
        ASSERT_FALSE(tokenizer->IsSpecial(encoded.ids[k]));
        ASSERT_EQ(tokenizer->Find(encoded.spellings[k]).value_or(unk_id), encoded.ids[k]);
      }
      SCOPED_TRACE(name + ": " + absl::CHexEscape(text));
      if (encoded.ids.empty()) continue;  // spaces and characters that are left out alone
      ASSERT_NO_FATAL_FAILURE(ExpectRangesCover(text, encoded.ranges));
    }
  }
}

TEST(Subwords, RangesOfDecodedIdsAreOrderedAndCoverTheText) {
  for (const std::string& name : SubwordNames()) {
    const auto tokenizer = LoadSubwordTokenizer(name);
    std::mt19937 random(8);
    for (int i = 0; i < 2000; ++i) {
      std::vector<TokenId> ids(std::uniform_int_distribution(0, 12)(random));
      for (TokenId& id : ids) id = std::uniform_int_distribution(-2, 400)(random);
      const DecodedText decoded = tokenizer->Decode(ids);
      ASSERT_EQ(decoded.ranges.size(), ids.size());
      ASSERT_TRUE(IsValidUtf8(decoded.text));
      ASSERT_NO_FATAL_FAILURE(ExpectRangesCover(decoded.text, decoded.ranges)) << name;
      for (std::size_t k = 0; k < ids.size(); ++k) {
        if (tokenizer->IsSpecial(ids[k])) {
          ASSERT_EQ(decoded.ranges[k].begin, decoded.ranges[k].end);
        }
      }
    }
  }
}

// All source tokens given back with their spelling and as typed: the text itself, but for its white space.
TEST(Subwords, TokensGivenAsTypedMakeTheTextAgain) {
  for (const std::string& name : SubwordNames()) {
    if (name == "listed_bytes") continue;  // bytes of one character share its range
    const auto tokenizer = LoadSubwordTokenizer(name);
    for (const std::string text :
         {"Hello, WORLD! It's 1,000.5 well-known e.g. a.b", "ΑΣ ΑΣΑ 함수를 漢字 </s> @@ a@@ @-@ ￭ ￭￭ a￭ <unk>"}) {
      const EncodedText encoded = tokenizer->Encode(text);
      const std::vector<std::string> typed = Slices(text, encoded.ranges);
      std::vector<GivenToken> given;
      for (std::size_t i = 0; i < typed.size(); ++i) {
        given.push_back({.index = static_cast<int>(i), .spelling = encoded.spellings[i], .text = typed[i]});
      }
      const DecodedText decoded = tokenizer->Decode(std::vector<TokenId>(typed.size(), 1 << 20), given);
      if (name != "characters") {  // where the space is a token whose text is empty
        EXPECT_EQ(decoded.text, text) << name;
        EXPECT_EQ(decoded.ranges, encoded.ranges) << name;
      }
    }
  }
}

TEST(Subwords, WordsThatLookLikeSpecialsOrMarksAreText) {
  const std::string text = "</s> <s> <unk> <pad> @@ a@@ ￭ ▁ ▁a a￭";
  for (const std::string& name : SubwordNames()) {
    const auto tokenizer = LoadSubwordTokenizer(name);
    const EncodedText encoded = tokenizer->Encode(text);
    for (const TokenId id : encoded.ids) EXPECT_FALSE(tokenizer->IsSpecial(id)) << name;
    ExpectRangesCover(text, encoded.ranges);
  }
  const auto words = MakeTokenizer(R"("words":{})", {"a", "a"});
  EXPECT_THAT(words->Encode("</s> a <unk> <s>").ids, ElementsAre(0, 3, 0, 0)) << "of two alike the lowest";
  const auto bpe =
      MakeTokenizer(R"("bpe":{"merges":"m"})", {"@@", "a@@", "b"}, "#version: 0.2\na @\na@ @\n@ @</w>\na@ @</w>\n");
  EXPECT_THAT(bpe->Encode("@@ b a@@ ab").ids, ElementsAre(0, 5, 0, 4, 5));
  const auto joiner = MakeTokenizer(R"("opennmt":{"mode":"OPEN_NMT_MODE_SPACE","joiner_annotate":true,"mark":"@@"})",
                                    {"@@", "a@@", "@@a", "■", "b"});
  EXPECT_THAT(joiner->Encode("@@ b a@@ @@a ￭").ids, ElementsAre(0, 7, 0, 0, 6));
  const auto characters = MakeTokenizer(R"("characters":{"space":"▁"})", {"▁", "a"});
  EXPECT_THAT(characters->Encode("a ▁").ids, ElementsAre(4, 3, 0));
}

TEST(Subwords, SubwordNmtPartsWordsAtSpacesAndLinesAlone) {
  const auto bpe = MakeTokenizer(R"("bpe":{"merges":"m"})", {"der", "hund", "der@@", "\u00a0@@", "h@@"},
                                 "#version: 0.2\nd e\nde r</w>\nde r\nh u\nhu n\nhun d</w>\n");
  const std::string text = "der\u00a0hund der  hund\nder";
  const EncodedText encoded = bpe->Encode(text);
  EXPECT_THAT(encoded.spellings, ElementsAre("der@@", "\u00a0@@", "hund", "der", "hund", "der"));
  EXPECT_THAT(encoded.ids, ElementsAre(5, 6, 4, 3, 4, 3));
  EXPECT_THAT(encoded.ranges, ElementsAre(ByteRange{0, 3}, ByteRange{5, 5}, ByteRange{5, 9}, ByteRange{10, 13},
                                          ByteRange{15, 19}, ByteRange{20, 23}));
  EXPECT_EQ(bpe->Decode(encoded.ids).text, "der\u00a0hund der hund der");
  EXPECT_THAT(bpe->Encode("h\tx").spellings, ElementsAre("h@@", "\t@@", "x"));
  for (const std::string space : {"\u0085", "\u2009", "\u202f", "\u3000", "\u2028", "\v"}) {
    const std::string words = absl::StrCat("hund", space, "hund", space);
    const EncodedText joined = bpe->Encode(words);
    EXPECT_THAT(joined.spellings, ElementsAre("hun@@", "d@@", space + "@@", "hun@@", "d@@", space)) << space;
    ExpectRangesCover(words, joined.ranges);
  }
}

TEST(Subwords, PiecesOfWordsLieSideBySide) {
  const auto bpe = MakeTokenizer(R"("bpe":{"merges":"m"},"lowercase":true)", {"l@@", "ow", "er"},
                                 "#version: 0.2\no w</w>\ne r</w>\n");
  const EncodedText encoded = bpe->Encode("  LOW  lower");
  EXPECT_THAT(encoded.spellings, ElementsAre("l@@", "ow", "l@@", "o@@", "w@@", "er"));
  EXPECT_THAT(encoded.ids, ElementsAre(3, 4, 3, 0, 0, 5));
  EXPECT_THAT(encoded.ranges, ElementsAre(ByteRange{2, 3}, ByteRange{3, 5}, ByteRange{7, 8}, ByteRange{8, 9},
                                          ByteRange{9, 10}, ByteRange{10, 12}));
  const DecodedText decoded = bpe->Decode({3, 1, 4, 0, 3});
  EXPECT_EQ(decoded.text, "low <unk> l");
  EXPECT_THAT(decoded.ranges,
              ElementsAre(ByteRange{0, 1}, ByteRange{1, 1}, ByteRange{1, 3}, ByteRange{4, 9}, ByteRange{10, 11}));
}

TEST(Subwords, LowerCasingThatChangesByteLengthsKeepsTheRanges) {
  const auto characters = MakeTokenizer(R"("characters":{},"lowercase":true)", {"i", " ", "ß", "k", "\u0307"});
  // "İ" (2 bytes) becomes two code points (3 bytes), "ẞ" (3 bytes) "ß" (2), the Kelvin sign (3) "k" (1).
  const EncodedText encoded = characters->Encode("İ ẞ\u212A");
  EXPECT_THAT(encoded.ids, ElementsAre(3, 7, 4, 5, 6));
  EXPECT_THAT(encoded.ranges,
              ElementsAre(ByteRange{0, 2}, ByteRange{0, 2}, ByteRange{3, 3}, ByteRange{3, 6}, ByteRange{6, 9}));
  const auto words = MakeTokenizer(R"("words":{},"lowercase":true)", {"ας", "ασα"});
  EXPECT_THAT(words->Encode("ΑΣ ΑΣΑ ΑΣ").ids, ElementsAre(3, 4, 3));
}

TEST(Subwords, JoinersAndSpacersHaveNoBytesOfTheText) {
  const auto joiner = MakeTokenizer(R"("opennmt":{"mode":"OPEN_NMT_MODE_AGGRESSIVE","joiner_annotate":true})",
                                    {"It", "￭'￭", "s", "￭!", "(￭", "￭"});
  const EncodedText encoded = joiner->Encode("It's\t(It)!");
  EXPECT_THAT(encoded.spellings, ElementsAre("It", "￭'￭", "s", "(￭", "It", "￭)", "￭!"))
      << "pyonmttok would take the tab for nothing";
  EXPECT_THAT(Slices("It's\t(It)!", encoded.ranges), ElementsAre("It", "'", "s", "(", "It", ")", "!"));
  EXPECT_EQ(joiner->Decode({3, 4, 5, 7, 3, 6}).text, "It's (It!");
  EXPECT_EQ(joiner->Decode({3, 8, 3}).text, "ItIt") << "a joiner by itself";
  const auto spacer = MakeTokenizer(R"("opennmt":{"mode":"OPEN_NMT_MODE_AGGRESSIVE","spacer_annotate":true})",
                                    {"It", "'", "s", "▁It", "▁"});
  const EncodedText spaced = spacer->Encode("It's It");
  EXPECT_THAT(spaced.ids, ElementsAre(3, 4, 5, 6));
  const DecodedText decoded = spacer->Decode({6, 4, 5, 6, 7, 3});
  EXPECT_EQ(decoded.text, "It's It It");
  EXPECT_THAT(decoded.ranges, ElementsAre(ByteRange{0, 2}, ByteRange{2, 3}, ByteRange{3, 4}, ByteRange{5, 7},
                                          ByteRange{8, 8}, ByteRange{8, 10}));
}

TEST(Subwords, CharactersLeftOutBelongToANeighbour) {
  const auto joiner =
      MakeTokenizer(R"("opennmt":{"mode":"OPEN_NMT_MODE_CONSERVATIVE","joiner_annotate":true})", {"ab"});
  const EncodedText encoded = joiner->Encode(
      "a\x01"
      "b\uFEFF\x02 \uFEFFx");
  EXPECT_THAT(encoded.spellings, ElementsAre("ab", "x"));
  EXPECT_THAT(encoded.ranges, ElementsAre(ByteRange{0, 7}, ByteRange{8, 12}));
  EXPECT_THAT(joiner->Encode("\x01\uFEFF").ids, ElementsAre());
}

TEST(Subwords, SpaceBehindASpecialStandsNoEarlierThanIt) {
  const auto words = MakeTokenizer(R"("words":{})", {"a ", " "});
  const DecodedText decoded = words->Decode({3, 2, 4});
  EXPECT_EQ(decoded.text, "a   ");
  EXPECT_THAT(decoded.ranges, ElementsAre(ByteRange{0, 1}, ByteRange{2, 2}, ByteRange{2, 2}));
}

TEST(Subwords, GivenTokensTakeTheirSpellingsMarksAndTheTypedText) {
  const auto bpe = MakeTokenizer(R"("bpe":{"merges":"m"})", {"a@@", "b"}, "#version: 0.2\n");
  const DecodedText decoded = bpe->Decode(
      {0, 4, 99}, {{.index = 0, .spelling = "q@@", .text = "Q"}, {.index = 2, .spelling = "@@\xFF", .text = "@@"}});
  EXPECT_EQ(decoded.text, "Qb @@");
  EXPECT_THAT(decoded.ranges, ElementsAre(ByteRange{0, 1}, ByteRange{1, 2}, ByteRange{3, 5}));
}

TEST(Subwords, EncodingTimeGrowsWithTheTextNotItsSquare) {
  for (const std::string& name : SubwordNames()) {
    const auto tokenizer = LoadSubwordTokenizer(name);
    for (const std::string unit : {"a", "th", "함수", " ", "e\u0301", "Σ'", "｟", "％"}) {
      std::string text;
      while (text.size() < (std::size_t{1} << 18)) text += unit;
      const auto start = std::chrono::steady_clock::now();
      const EncodedText encoded = tokenizer->Encode(text);
      tokenizer->Decode(encoded.ids);
      // Quadratic work on a quarter of a megabyte takes a minute; the bound leaves room for sanitizers.
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << name << ": " << unit;
    }
  }
}

}  // namespace
}  // namespace heed
