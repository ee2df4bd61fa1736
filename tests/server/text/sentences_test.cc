#include "server/text/sentences.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "tests/server/text/text_models.h"

namespace heed {
namespace {

using ::heed::testing::RandomText;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Sentences(std::string_view text, const std::string& language = "ko") {
  const auto splitter = SentenceSplitter::Make(language);
  EXPECT_TRUE(splitter.ok()) << splitter.status().ToString();
  std::vector<std::string> sentences;
  for (const ByteRange& range : splitter->Split(text)) {
    sentences.emplace_back(text.substr(range.begin, range.end - range.begin));
  }
  return sentences;
}

TEST(SentenceSplitter, CutsAfterFullStopsAndKeepsSpacesOut) {
  EXPECT_THAT(Sentences("  문자열을 돌려줍니다. 그리고 끝납니다.  정말요?! 네."),
              ElementsAre("문자열을 돌려줍니다.", "그리고 끝납니다.", "정말요?!", "네."));
  EXPECT_THAT(Sentences("Use the API. It works (mostly). Why? See below.", "en"),
              ElementsAre("Use the API.", "It works (mostly).", "Why?", "See below."));
  EXPECT_THAT(Sentences("終わりました。次です。", "ja"), ElementsAre("終わりました。", "次です。"));
}

TEST(SentenceSplitter, CutsKoreanBeforeSmallLettersAndWithoutSpace) {
  EXPECT_THAT(Sentences("설치합니다. pip을 씁니다."), ElementsAre("설치합니다.", "pip을 씁니다."));
  EXPECT_THAT(Sentences("(설치합니다.) pip을 씁니다."), ElementsAre("(설치합니다.)", "pip을 씁니다."));
  EXPECT_THAT(Sentences("설치합니다 (가 참조). (pip 씀) 끝."), ElementsAre("설치합니다 (가 참조).", "(pip 씀) 끝."));
  EXPECT_THAT(Sentences("끝납니다.그리고 갑니다."), ElementsAre("끝납니다.", "그리고 갑니다."));
}

TEST(SentenceSplitter, LineBreaksAlwaysEndASentence) {
  EXPECT_THAT(Sentences("a\nb\r\nc\rd\ve\ff\u0085g\u2028h\u2029i\n\n", "en"),
              ElementsAre("a", "b", "c", "d", "e", "f", "g", "h", "i"));
  EXPECT_THAT(Sentences("예: e.g.\n다음"), ElementsAre("예: e.g.", "다음"));
  EXPECT_THAT(Sentences("1.\n설치"), ElementsAre("1.", "설치"));
}

TEST(SentenceSplitter, DoesNotCutAfterAbbreviations) {
  EXPECT_THAT(Sentences("See e.g. Python, i.e. CPython (cf. PyPy). Dr. Kim vs. Mr. Lee. Done.", "en"),
              ElementsAre("See e.g. Python, i.e. CPython (cf. PyPy).", "Dr. Kim vs. Mr. Lee.", "Done."));
  EXPECT_THAT(Sentences("모듈(e.g. 파이썬)을 씁니다. Fig. 3을 보십시오. No. 5입니다."),
              ElementsAre("모듈(e.g. 파이썬)을 씁니다.", "Fig. 3을 보십시오.", "No. 5입니다."));
  EXPECT_THAT(Sentences("The answer is no. The end.", "en"), ElementsAre("The answer is no.", "The end."));
  EXPECT_THAT(Sentences("It takes 10 ms. The API. The RAM. J. Kim.", "en"),
              ElementsAre("It takes 10 ms.", "The API.", "The RAM.", "J. Kim."));
  EXPECT_THAT(Sentences("Das ist z.B. Python. Ende.", "de"), ElementsAre("Das ist z.B. Python.", "Ende."))
      << "CLDR's list of the language";
}

TEST(SentenceSplitter, DoesNotCutNumbersNamesAndExpressions) {
  EXPECT_THAT(Sentences("버전 3.11.에서 Python 3.11. 그리고 끝."),
              ElementsAre("버전 3.11.에서 Python 3.11.", "그리고 끝."));
  EXPECT_THAT(Sentences("1. 설치합니다. 2) 실행합니다."), ElementsAre("1. 설치합니다.", "2) 실행합니다."));
  EXPECT_THAT(Sentences("a!=b이면 os.path와 모듈.Class, f().G()를 씁니다."),
              ElementsAre("a!=b이면 os.path와 모듈.Class, f().G()를 씁니다."));
  EXPECT_THAT(Sentences("다음과 같습니다. :"), ElementsAre("다음과 같습니다. :"));
  EXPECT_THAT(Sentences("“안녕하세요.”라고 말했다."), ElementsAre("“안녕하세요.”라고 말했다."));
}

TEST(SentenceSplitter, TextWithoutSentencesGivesNone) {
  EXPECT_THAT(Sentences(""), IsEmpty());
  EXPECT_THAT(Sentences(" \n\t\u3000\r\n"), IsEmpty());
  EXPECT_THAT(Sentences("..."), ElementsAre("..."));
  EXPECT_THAT(Sentences(std::string_view("\0", 1)), ElementsAre(std::string(1, '\0')));
}

TEST(SentenceSplitter, WholeIsTheTextWithoutSurroundingSpace) {
  EXPECT_THAT(SentenceSplitter::Whole(" a. b\nc \u3000"), ElementsAre(ByteRange{1, 7}));
  EXPECT_THAT(SentenceSplitter::Whole(" \n"), IsEmpty());
}

TEST(SentenceSplitter, RefusesWhatIsNoLanguageTag) {
  for (const std::string language : {"", "k o", "korean_korea!", "x", "ko-"}) {
    EXPECT_EQ(SentenceSplitter::Make(language).status().code(), absl::StatusCode::kInvalidArgument) << language;
  }
  for (const std::string language : {"ko", "en-US", "zh-Hant", "sr-Latn-RS", "und"}) {
    EXPECT_TRUE(SentenceSplitter::Make(language).ok()) << language;
  }
}

TEST(SentenceSplitter, SentencesOfRandomTextAreOrderedAndLeaveOnlySpaceOut) {
  for (const std::string language : {"ko", "en", "de", "zh"}) {
    const auto splitter = SentenceSplitter::Make(language);
    ASSERT_TRUE(splitter.ok());
    std::mt19937 random(9);
    for (int i = 0; i < 3000; ++i) {
      std::string text;
      for (int k = random() % 4; k >= 0; --k) text += RandomText(random) + (k % 2 == 0 ? ". " : "!");
      int end = 0;
      for (const ByteRange& range : splitter->Split(text)) {
        ASSERT_LE(end, range.begin);
        ASSERT_LT(range.begin, range.end);
        ASSERT_EQ(TrimWhiteSpace(text, {end, range.begin}).begin, range.begin) << absl::CHexEscape(text);
        ASSERT_EQ(TrimWhiteSpace(text, range), range);
        ASSERT_TRUE(IsValidUtf8(text.substr(range.begin, range.end - range.begin)));
        end = range.end;
      }
      const int size = static_cast<int>(text.size());
      ASSERT_EQ(TrimWhiteSpace(text, {end, size}).begin, size);
    }
  }
}

// Those of a text that is cut a little at a time depend on nothing that was cut before.
TEST(SentenceSplitter, ACutterGivesTheSentencesOfEachLineOneAfterTheOther) {
  const auto splitter = SentenceSplitter::Make("ko");
  ASSERT_TRUE(splitter.ok());
  std::mt19937 random(11);
  for (int i = 0; i < 300; ++i) {
    std::vector<std::string> lines;
    std::string text;
    for (int k = random() % 5; k >= 0; --k) {
      lines.push_back(RandomText(random) + "합니다. pip " + RandomText(random));
      std::replace(lines.back().begin(), lines.back().end(), '\n', '.');
      text += lines.back() + "\n";
    }
    const std::unique_ptr<SentenceCutter> cutter = splitter->Start(text);
    int begin = 0;
    for (const std::string& line : lines) {
      for (const ByteRange& range : splitter->Split(line)) {
        const std::optional<ByteRange> next = cutter->Next();
        ASSERT_TRUE(next.has_value());
        ASSERT_EQ(*next, (ByteRange{begin + range.begin, begin + range.end})) << absl::CHexEscape(text);
      }
      begin += static_cast<int>(line.size()) + 1;
    }
    ASSERT_FALSE(cutter->Next().has_value());
    ASSERT_FALSE(cutter->Next().has_value()) << "it stays at the end";
  }
}

TEST(SentenceSplitter, TimeGrowsWithTheTextNotItsSquare) {
  for (const std::string language : {"ko", "de", "zh"}) {
    const auto splitter = SentenceSplitter::Make(language);
    ASSERT_TRUE(splitter.ok());
    for (const std::string unit : {"a",      "합니다. ", "e.g. ", "1. ", ".",       "\n",      " ",       "a.b",
                                   "(",      "?!",       "\"",    "“「", ". \"a",   "!)",      "。[1]",   "。“",
                                   "z. B. ", "т. е. ",   "I. I.", "—! ", "!\u3000", "“a!” b ", "24. 12. "}) {
      std::string text;
      while (text.size() < (std::size_t{1} << 18)) text += unit;
      const auto start = std::chrono::steady_clock::now();
      splitter->Split(text);
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10)) << unit;
    }
  }
}

}  // namespace
}  // namespace heed
