// Which share of a source is written in its model's scripts.
#include "server/text/script_coverage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/text/subword_models.h"

namespace heed {
namespace {

using ::heed::testing::LoadTestTokenizer;
using ::heed::testing::MakeTokenizer;
using ::heed::testing::TestVocabulary;
using ::testing::DoubleEq;
using ::testing::Optional;

model::v1::SourceScripts Scripts(const std::vector<std::string>& codes) {
  model::v1::SourceScripts scripts;
  for (const std::string& code : codes) scripts.add_scripts(code);
  return scripts;
}

// Of a vocabulary of these words behind <unk>, <s>, </s>, whose ids so begin at 3.
ScriptCoverage OfWords(const std::vector<std::string>& words, const std::vector<std::string>& scripts) {
  model::v1::Vocabulary vocabulary;
  vocabulary.set_size(static_cast<int>(words.size()) + 3);
  auto coverage = ScriptCoverage::Make(Scripts(scripts), vocabulary, *MakeTokenizer(R"("words":{})", words));
  EXPECT_TRUE(coverage.ok()) << coverage.status();
  return *std::move(coverage);
}

TEST(ScriptCoverage, IsTheShareOfPiecesWithLettersThatAreTheModelsOwn) {
  const ScriptCoverage coverage = OfWords({"함수는", "print", "7", "()", "f함수"}, {"Hang"});
  EXPECT_THAT(coverage.Share({3}), Optional(DoubleEq(1)));
  EXPECT_THAT(coverage.Share({4}), Optional(DoubleEq(0))) << "foreign, however well it is known";
  EXPECT_THAT(coverage.Share({3, 4, 3, 3}), Optional(DoubleEq(0.75)));
  EXPECT_THAT(coverage.Share({3, 5, 6, 5}), Optional(DoubleEq(1))) << "digits and marks do not count";
  EXPECT_THAT(coverage.Share({3, 7}), Optional(DoubleEq(0.5))) << "not all letters of f함수 are Hangul";
}

TEST(ScriptCoverage, UnknownPiecesCountAndAreForeignAndSpecialsDoNotCount) {
  const ScriptCoverage coverage = OfWords({"함수는", "5"}, {"Hang"});
  EXPECT_THAT(coverage.Share({1, 3, 0, 2}), Optional(DoubleEq(0.5))) << "</s> has a letter, and is none";
  EXPECT_THAT(coverage.Share({0}), Optional(DoubleEq(0)));
  EXPECT_EQ(coverage.Share({1, 4, 2}), std::nullopt) << "there is no letter";
  EXPECT_EQ(coverage.Share({}), std::nullopt);
}

TEST(ScriptCoverage, ALetterOfSeveralScriptsIsOfEachAndOneOfNoneDoesNotCount) {
  const std::vector<std::string> words = {"ー", "µ", "データ", "字"};
  const ScriptCoverage japanese = OfWords(words, {"Hira", "Kana", "Hani"});
  EXPECT_THAT(japanese.Share({3, 5, 6}), Optional(DoubleEq(1)));
  EXPECT_EQ(japanese.Share({4}), std::nullopt) << "the micro sign is nobody's";
  EXPECT_THAT(OfWords(words, {"Hira"}).Share({3, 5}), Optional(DoubleEq(0.5))) << "the long sound is Hiragana's, too";
  EXPECT_THAT(OfWords(words, {"Hang"}).Share({3, 5, 6}), Optional(DoubleEq(0)));
}

TEST(ScriptCoverage, AByteOfACharacterThatTheVocabularyLacksIsUnknown) {
  const auto tokenizer = LoadTestTokenizer("bpe_bytes");
  const auto coverage = ScriptCoverage::Make(Scripts({"Hang"}), TestVocabulary("bpe_bytes"), *tokenizer);
  ASSERT_TRUE(coverage.ok()) << coverage.status();
  EXPECT_THAT(coverage->Share(tokenizer->Encode("함수").ids), Optional(DoubleEq(1)));
  const std::vector<TokenId> japanese = tokenizer->Encode("ありがとう").ids;
  ASSERT_GT(japanese.size(), 10U) << "three bytes a character";
  EXPECT_THAT(coverage->Share(japanese), Optional(DoubleEq(0)));
}

TEST(ScriptCoverage, RefusesWhatIsNoScriptOfCharacters) {
  for (const std::string code : {"Xxxx", "Jpan", "Kore", "Hrkt", "Hans", "Zyyy", "Zinh", "Zzzz", "Qaac"}) {
    model::v1::Vocabulary vocabulary;
    vocabulary.set_size(3);
    const auto coverage =
        ScriptCoverage::Make(Scripts({"Hang", code}), vocabulary, *MakeTokenizer(R"("words":{})", {}));
    EXPECT_EQ(coverage.status().code(), absl::StatusCode::kInvalidArgument) << code;
    EXPECT_EQ(coverage.status().message(),
              "model.json: source_scripts.scripts[1] is \"" + code +
                  "\", expected the ISO 15924 code of one script that characters have (\"Hira\", \"Kana\" and \"Hani\" "
                  "for Japanese)");
  }
}

}  // namespace
}  // namespace heed
