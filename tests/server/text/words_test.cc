#include "gmock/gmock.h"
#include "server/text/tokenizer.h"
#include "tests/server/text/text_models.h"

namespace heed {
namespace {

using ::heed::testing::LoadTestTokenizer;
using ::heed::testing::RandomText;
using ::heed::testing::TestModels;

std::vector<WordSpan> Group(std::string_view text, const std::vector<ByteRange>& ranges,
                            const std::vector<int>& specials = {}) {
  const std::unique_ptr<bool[]> special(new bool[ranges.size()]());
  for (int i : specials) special[i] = true;
  return GroupWords(text, ranges, absl::MakeConstSpan(special.get(), ranges.size()));
}

TEST(GroupWords, SpaceBetweenTokensBeginsAWord) {
  const auto words = Group("hi  theres", {{0, 2}, {4, 9}, {9, 10}});
  ASSERT_EQ(words.size(), 2u);
  EXPECT_EQ(words[0].first, 0);
  EXPECT_EQ(words[0].count, 1);
  EXPECT_EQ(words[0].range, (ByteRange{0, 2}));
  EXPECT_EQ(words[1].first, 1);
  EXPECT_EQ(words[1].count, 2);
  EXPECT_EQ(words[1].range, (ByteRange{4, 10}));
  EXPECT_FALSE(words[1].special);
}

TEST(GroupWords, EachSpecialIsAWordOfItsOwnWithoutText) {
  const auto words = Group("ab", {{0, 0}, {0, 1}, {1, 1}, {1, 2}, {2, 2}, {2, 2}}, {0, 2, 4, 5});
  ASSERT_EQ(words.size(), 6u);
  for (std::size_t i = 0; i < words.size(); ++i) {
    EXPECT_EQ(words[i].count, 1);
    EXPECT_EQ(words[i].special, i != 1 && i != 3);
    EXPECT_EQ(words[i].special, words[i].range.begin == words[i].range.end);
  }
}

TEST(GroupWords, ALoneSpacePieceBelongsToTheWordItBegins) {
  const auto tokenizer = LoadTestTokenizer("unigram");
  const std::string text = "the 漢字";
  const EncodedText encoded = tokenizer->Encode(text);
  ASSERT_EQ(encoded.ids.size(), 4u);  // "▁", "the", "▁", unknown
  const auto words = Group(text, encoded.ranges);
  ASSERT_EQ(words.size(), 2u);
  EXPECT_EQ(words[1].first, 2);
  EXPECT_EQ(words[1].count, 2);
}

TEST(GroupWords, TokensThatShareACharacterStayTogether) {
  EXPECT_EQ(Group("a😀b", {{0, 1}, {1, 5}, {1, 5}, {1, 5}, {1, 5}, {5, 6}}).size(), 1u);
  EXPECT_EQ(Group("a\u3000b\u2028c", {{0, 1}, {4, 5}, {8, 9}}).size(), 3u) << "any White_Space parts words";
  EXPECT_TRUE(Group("", {}).empty());
}

// What a text's words are where each code point is a token.
std::vector<std::string> WordsOfCodePoints(std::string_view text) {
  std::vector<ByteRange> ranges;
  for (int i = 0; i < static_cast<int>(text.size());) {
    int end = i + 1;
    while (end < static_cast<int>(text.size()) && (text[end] & 0xC0) == 0x80) ++end;
    if (text[i] != ' ') ranges.push_back({i, end});
    i = end;
  }
  std::vector<std::string> words;
  for (const WordSpan& word : Group(text, ranges)) {
    words.emplace_back(text.substr(word.range.begin, word.range.end - word.range.begin));
  }
  return words;
}

TEST(GroupWords, ScriptsWithoutSpacesHaveTheWordsOfADictionary) {
  using ::testing::ElementsAre;
  EXPECT_THAT(WordsOfCodePoints("我们喜欢北京。"), ElementsAre("我们", "喜欢", "北京。"));
  EXPECT_THAT(WordsOfCodePoints("《红楼梦》很好"), ElementsAre("《红楼梦》", "很好"));
  EXPECT_THAT(WordsOfCodePoints("使用Python语言"), ElementsAre("使用", "Python", "语言"));
  EXPECT_THAT(WordsOfCodePoints("東京に行きます"), ElementsAre("東京", "に", "行き", "ます"));
  EXPECT_THAT(WordsOfCodePoints("ภาษาไทย"), ElementsAre("ภาษา", "ไทย"));
  EXPECT_THAT(WordsOfCodePoints("한국어를 don't씁니다. a.b"), ElementsAre("한국어를", "don't씁니다.", "a.b"))
      << "where spaces part words, they alone do";
  EXPECT_EQ(Group("我们喜欢", {{0, 9}, {9, 12}}).size(), 1u) << "no word begins inside a token";
}

TEST(GroupWords, EveryTokenIsInOneWord) {
  for (const auto& [name, size] : TestModels()) {
    const auto tokenizer = LoadTestTokenizer(name);
    std::mt19937 random(5);
    for (int i = 0; i < 500; ++i) {
      const std::string text = RandomText(random);
      const EncodedText encoded = tokenizer->Encode(text);
      int next = 0;
      for (const WordSpan& word : Group(text, encoded.ranges)) {
        ASSERT_EQ(word.first, next);
        ASSERT_GE(word.count, 1);
        ASSERT_EQ(word.range.begin, encoded.ranges[word.first].begin);
        ASSERT_EQ(word.range.end, encoded.ranges[word.first + word.count - 1].end);
        next += word.count;
      }
      ASSERT_EQ(next, static_cast<int>(encoded.ids.size()));
    }
  }
}

}  // namespace
}  // namespace heed
