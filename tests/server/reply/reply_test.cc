#include "server/reply/reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/reply/attention.h"
#include "tests/server/models/fake_model.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ReplyTest : public ::testing::Test {
 protected:
  void Serve(const FakeModelOptions& options) { registry_ = FakeRegistry({options}); }

  AdmittedRequest Admit(TextRequest request) {
    request.task = v1::TASK_TRANSLATE;
    auto admitted = Admission(registry_.get(), limits_).Admit(std::move(request));
    EXPECT_TRUE(admitted.ok()) << admitted.status();
    return *std::move(admitted);
  }

  Reply Answer(TextRequest request) {
    const AdmittedRequest admitted = Admit(std::move(request));
    auto reply = MakeReply(admitted, EchoAll(admitted));
    EXPECT_TRUE(reply.ok()) << reply.status();
    return *std::move(reply);
  }

  AdmissionLimits limits_;
  std::unique_ptr<Registry> registry_ = FakeRegistry({{.split_sentences = true}});
};

TextRequest Texts(std::vector<std::string> texts) {
  TextRequest request;
  request.texts = std::move(texts);
  return request;
}

std::vector<std::string> Described(const google::protobuf::RepeatedPtrField<v1::Token>& tokens) {
  std::vector<std::string> described;
  for (const v1::Token& token : tokens) {
    described.push_back(token.piece() + " " + std::to_string(token.begin()) + "-" + std::to_string(token.end()) +
                        (token.special() ? " special" : ""));
  }
  return described;
}

std::vector<float> Values(const v1::Attention& attention) {
  return {attention.dense().values().begin(), attention.dense().values().end()};
}

TEST_F(ReplyTest, SegmentsComeBackTogetherWithTheSourcesSpacing) {
  const Reply reply = Answer(Texts({"\n hello   world.\n\n  good day. Hello\t"}));
  const v1::TextOutput& output = reply.results.at(0).output();
  // The inside of a sentence is the model's, everything around it the source's.
  EXPECT_EQ(output.text(), "\n hello world.\n\n  good day. Hello\t");
  ASSERT_EQ(output.segments_size(), 3);
  EXPECT_EQ(output.segments(1).begin(), 20);
  EXPECT_EQ(output.segments(1).end(), 29);
}

TEST_F(ReplyTest, RangesAreOfTheWholeRequestTextForTheSourceAndOfTheHypothesisForTheTarget) {
  const Reply reply = Answer(Texts({"hello.  안녕하세요 world."}));
  const v1::Segment& segment = reply.results.at(0).output().segments(1);
  EXPECT_THAT(Described(segment.source_tokens()),
              ElementsAre("_안녕 8-14", "하세요 14-23", "_wor 24-27", "ld 27-29", ". 29-30", "</s> 30-30 special"));
  EXPECT_EQ(segment.hypotheses(0).text(), "안녕하세요 world.");
  EXPECT_THAT(Described(segment.hypotheses(0).tokens()),
              ElementsAre("_안녕 0-6", "하세요 6-15", "_wor 16-19", "ld 19-21", ". 21-22", "</s> 22-22 special"));
}

// A copying model's answer: an id below 12 is a piece of the fake vocabulary, others are the job's own.
DecodeResult Copied(std::vector<TokenId> tokens, std::vector<CopiedToken> copies) {
  DecodeResult result;
  DecodedHypothesis& hypothesis = result.hypotheses.emplace_back();
  hypothesis.log_probabilities.assign(tokens.size(), -0.5F);
  hypothesis.tokens = std::move(tokens);
  hypothesis.copies = std::move(copies);
  return result;
}

TEST_F(ReplyTest, CopiedWordsComeOutAsTheyWereTypedAndSayWhereFrom) {
  Serve({.copies = true});
  // Source: _hello(3) _X(12) y(13) _y(14) </s>
  const AdmittedRequest request = Admit(Texts({"  hello  Xy y "}));
  const auto reply = MakeReply(request, {Copied({12, 13, 3, 0, 2}, {{.gate = 0.75F, .share = 1, .source = 1},
                                                                    {.gate = 0.5F, .share = 1, .source = 2},
                                                                    {.gate = 0.25F, .share = 0.125F, .source = 0},
                                                                    {.gate = 0.25F},
                                                                    {.gate = 0.125F, .share = 0.5F, .source = 4}})});
  ASSERT_TRUE(reply.ok()) << reply.status();
  const v1::Segment& segment = reply->results.at(0).output().segments(0);
  const v1::Hypothesis& hypothesis = segment.hypotheses(0);
  EXPECT_EQ(hypothesis.text(), "Xy hello?");
  EXPECT_EQ(reply->results.at(0).output().text(), "  Xy hello? ");
  EXPECT_THAT(Described(hypothesis.tokens()),
              ElementsAre("<unk> 0-1", "<unk> 1-2", "_hello 3-8", "<unk> 8-9", "</s> 9-9 special"));
  const v1::Token& own = hypothesis.tokens(0);
  EXPECT_EQ(own.id(), 0);
  EXPECT_EQ(own.copied_from().source_token(), 1);
  EXPECT_EQ(own.copied_from().gate(), 0.75F);
  EXPECT_EQ(own.copied_from().share(), 1);
  EXPECT_EQ(segment.source_tokens(own.copied_from().source_token()).begin(), 9);
  EXPECT_FALSE(own.has_replaced_by());
  EXPECT_EQ(hypothesis.tokens(2).copied_from().share(), 0.125F);
  EXPECT_TRUE(hypothesis.tokens(3).has_copied_from());
  EXPECT_FALSE(hypothesis.tokens(3).copied_from().has_source_token()) << "no source token is spelt like it";
}

TEST_F(ReplyTest, ReplacedUnknownsAreTheSourceTokenAsItWasTyped) {
  AdmittedRequest request = Admit(Texts({"Hello Xy"}));
  request.texts[0].segments[0].spellings = {"_Hello", "_X", "y", ""};
  DecodeResult decoded = Copied({0, 3, 0, 2}, {});
  decoded.hypotheses[0].sources = {1, 1, 0, 2};
  const auto reply = MakeReply(request, {std::move(decoded)});
  ASSERT_TRUE(reply.ok()) << reply.status();
  const v1::Hypothesis& hypothesis = reply->results.at(0).output().segments(0).hypotheses(0);
  EXPECT_EQ(hypothesis.text(), "X hello Hello");
  EXPECT_THAT(Described(hypothesis.tokens()),
              ElementsAre("<unk> 0-1", "_hello 2-7", "<unk> 8-13", "</s> 13-13 special"));
  EXPECT_EQ(hypothesis.tokens(0).replaced_by(), 1);
  EXPECT_FALSE(hypothesis.tokens(1).has_replaced_by()) << "it is no unknown";
  EXPECT_TRUE(hypothesis.tokens(2).has_replaced_by());
  EXPECT_EQ(hypothesis.tokens(2).replaced_by(), 0);
  EXPECT_FALSE(hypothesis.tokens(0).has_copied_from());
}

TEST_F(ReplyTest, AWordThatIsCopiedAtEveryStepCannotMakeAnOversizedReply) {
  Serve({.copies = true});
  AdmittedRequest request = Admit(Texts({"y"}));
  request.max_reply_bytes = 1000;
  request.texts[0].text = std::string(500, 'y');
  request.texts[0].segments[0].source_tokens[0].set_end(500);
  const CopiedToken copied{.gate = 1, .share = 1, .source = 0};
  EXPECT_TRUE(MakeReply(request, {Copied({2}, {CopiedToken{}})}).ok());
  const auto reply = MakeReply(request, {Copied({12, 12, 12}, {copied, copied, copied})});
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(reply.status().message()), HasSubstr("more than 1525 bytes")) << "25 say which model it is";
}

TEST_F(ReplyTest, SentencesWithoutASpaceBetweenGetOneWhereTheTargetLanguageUsesSpaces) {
  for (const auto& [language, expected] : std::vector<std::pair<std::string, std::string>>{
           {"en", "hello. good day."}, {"ja", "hello.good day."}, {"zh-Hant", "hello.good day."}}) {
    Serve({.target_language = language});
    AdmittedRequest admitted = Admit(Texts({"hello."}));
    // Two segments side by side, as a splitter makes them of Chinese text.
    AdmittedRequest other = Admit(Texts({"good day."}));
    admitted.texts[0].text = "hello.good day.";
    admitted.texts[0].segments.push_back(other.texts[0].segments[0]);
    admitted.texts[0].segments[1].range = {6, 15};
    admitted.texts[0].segments[1].job = 1;
    admitted.jobs.push_back(other.jobs[0]);
    EXPECT_EQ(MakeReply(admitted, EchoAll(admitted))->results[0].output().text(), expected);
  }
}

TEST_F(ReplyTest, APlainSpaceBetweenSentencesGoesWhereTheTargetLanguageHasNone) {
  for (const auto& [language, expected] : std::vector<std::pair<std::string, std::string>>{
           {"en", " Hello. Hello.  Hello.\nHello. "}, {"ja", " Hello.Hello.  Hello.\nHello. "}}) {
    Serve({.target_language = language, .split_sentences = true});
    EXPECT_EQ(Answer(Texts({" Hello. Hello.  Hello.\nHello. "})).results.at(0).output().text(), expected);
  }
}

TEST_F(ReplyTest, EmptyTextsComeBackEmptyAndTextsOfSpacesAsTheyAre) {
  const std::vector<std::string> texts = {"", " \n ", std::string("\0", 1), "\u3000\r\n"};
  const Reply reply = Answer(Texts(texts));
  for (const int i : {0, 1, 3}) {
    ASSERT_TRUE(reply.results[i].has_output());
    EXPECT_EQ(reply.results[i].output().text(), texts[i]);
    EXPECT_EQ(reply.results[i].output().segments_size(), 0);
  }
  EXPECT_EQ(reply.results[2].output().text(), "");
  ASSERT_EQ(reply.results[2].output().segments_size(), 1);
  EXPECT_EQ(reply.results[2].output().segments(0).hypotheses_size(), 0);
}

TEST_F(ReplyTest, AnErrorOfATextStandsInItsPlace) {
  limits_.max_text_bytes = 10;
  const Reply reply = Answer(Texts({"hello", "hello world", "good day"}));
  EXPECT_EQ(reply.results[0].output().text(), "hello");
  EXPECT_EQ(reply.results[1].error().code(), 11);
  EXPECT_EQ(reply.results[2].output().text(), "good day");
}

TEST_F(ReplyTest, AReplyNamesModelVersionAndDigestAndCountsTokensOfTheBest) {
  TextRequest request = Texts({"hello world"});
  request.search.set_beam_size(3);
  request.search.set_n_best(3);
  const Reply reply = Answer(std::move(request));
  EXPECT_EQ(reply.model.name(), "echo");
  EXPECT_EQ(reply.model.version(), "1");
  EXPECT_EQ(reply.model.bundle_digest(), "d1ge57");
  EXPECT_EQ(reply.results[0].output().segments(0).hypotheses_size(), 3);
  EXPECT_EQ(reply.target_tokens, 4);
}

TEST_F(ReplyTest, HypothesesCarryScoresAndWhyTheyEnded) {
  TextRequest request = Texts({"hello world"});
  request.search.set_max_length(2);
  const v1::Hypothesis cut = Answer(request).results[0].output().segments(0).hypotheses(0);
  EXPECT_EQ(cut.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(cut.tokens_size(), 2);
  EXPECT_FLOAT_EQ(cut.log_probability(), -1.0F);
  EXPECT_FLOAT_EQ(cut.tokens(1).log_probability(), -0.5F);
  request.search.clear_max_length();
  EXPECT_EQ(Answer(request).results[0].output().segments(0).hypotheses(0).finish_reason(), v1::FINISH_REASON_EOS);
}

TEST_F(ReplyTest, WhatATimeBudgetCutShortSaysSo) {
  const AdmittedRequest admitted = Admit(Texts({"hello world. Hello day."}));
  ASSERT_EQ(admitted.jobs.size(), 2U);
  EchoEngine engine(64, 512);
  StepReport report;
  engine.Admit(1, &admitted.jobs[0]);
  engine.Step(&report);
  const auto reply = MakeReply(admitted, {engine.Finish(1), DecodeResult()});
  ASSERT_TRUE(reply.ok()) << reply.status();
  const v1::TextOutput& output = reply->results.at(0).output();
  EXPECT_EQ(output.text(), "hello ");
  ASSERT_EQ(output.segments_size(), 2);
  ASSERT_EQ(output.segments(0).hypotheses_size(), 1);
  EXPECT_EQ(output.segments(0).hypotheses(0).finish_reason(), v1::FINISH_REASON_TIME_BUDGET);
  EXPECT_EQ(output.segments(0).hypotheses(0).text(), "hello");
  ASSERT_EQ(output.segments(1).hypotheses_size(), 1) << "it had not begun";
  EXPECT_EQ(output.segments(1).hypotheses(0).finish_reason(), v1::FINISH_REASON_TIME_BUDGET);
  EXPECT_EQ(output.segments(1).hypotheses(0).tokens_size(), 0);
}

TEST_F(ReplyTest, AttentionOfPiecesIsDenseWithARowPerTargetToken) {
  TextRequest request = Texts({"hello world"});
  request.attention.emplace().components.push_back(v1::ATTENTION_COMPONENT_WEIGHTS);
  request.attention->components.push_back(v1::ATTENTION_COMPONENT_ENERGIES);
  const v1::Hypothesis hypothesis = Answer(request).results[0].output().segments(0).hypotheses(0);
  ASSERT_EQ(hypothesis.attentions_size(), 2);
  EXPECT_EQ(hypothesis.attentions(0).attend(), "c");
  EXPECT_EQ(hypothesis.attentions(0).component(), v1::ATTENTION_COMPONENT_WEIGHTS);
  EXPECT_EQ(hypothesis.attentions(0).unit(), v1::ATTENTION_UNIT_PIECES);
  EXPECT_EQ(hypothesis.attentions(0).dense().rows(), 4);
  EXPECT_EQ(hypothesis.attentions(0).dense().columns(), 4);
  EXPECT_THAT(Values(hypothesis.attentions(0)), ElementsAre(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1));
  EXPECT_EQ(hypothesis.attentions(1).component(), v1::ATTENTION_COMPONENT_ENERGIES);
  EXPECT_EQ(Values(hypothesis.attentions(1))[5], 10);
}

TEST_F(ReplyTest, ContextsHaveARowPerTargetTokenAndAColumnPerNumber) {
  Serve({.attends = {"c", "d"}});
  TextRequest request = Texts({"hello world"});
  request.search.set_beam_size(2);
  request.search.set_n_best(2);
  request.attention.emplace().components.push_back(v1::ATTENTION_COMPONENT_CONTEXTS);
  request.attention->components.push_back(v1::ATTENTION_COMPONENT_WEIGHTS);
  const v1::Segment segment = Answer(request).results[0].output().segments(0);
  ASSERT_EQ(segment.hypotheses_size(), 2);
  for (const v1::Hypothesis& hypothesis : segment.hypotheses()) {
    ASSERT_EQ(hypothesis.attentions_size(), 4);
    for (const int at : {1, 3}) {
      const v1::Attention& contexts = hypothesis.attentions(at);
      EXPECT_EQ(contexts.attend(), at == 1 ? "c" : "d");
      EXPECT_EQ(contexts.component(), v1::ATTENTION_COMPONENT_CONTEXTS);
      EXPECT_EQ(contexts.unit(), v1::ATTENTION_UNIT_PIECES);
      EXPECT_EQ(contexts.head(), 0);
      EXPECT_EQ(contexts.dense().rows(), 4);
      EXPECT_EQ(contexts.dense().columns(), 3);
      EXPECT_THAT(Values(contexts), ElementsAre(0, 0.25F, 0.5F, 1, 1.25F, 1.5F, 2, 2.25F, 2.5F, 3, 3.25F, 3.5F));
    }
  }
  request.attention->components.clear();
  request.attention->components.push_back(v1::ATTENTION_COMPONENT_CONTEXTS);
  request.attention->attends.push_back("d");
  const v1::Hypothesis alone = Answer(request).results[0].output().segments(0).hypotheses(0);
  ASSERT_EQ(alone.attentions_size(), 1);
  EXPECT_EQ(alone.attentions(0).attend(), "d");
}

TEST_F(ReplyTest, AttentionOfWordsSumsSourcePiecesAndAveragesTargetPieces) {
  TextRequest request = Texts({"good day. Hello world"});
  request.attention.emplace().unit = v1::ATTENTION_UNIT_WORDS;
  const v1::Attention attention = Answer(request).results[0].output().segments(1).hypotheses(0).attentions(0);
  EXPECT_EQ(attention.unit(), v1::ATTENTION_UNIT_WORDS);
  // hello, world (two pieces), </s>: the two rows of "world" lie on its two columns, half each before the sum.
  EXPECT_EQ(attention.dense().rows(), 3);
  EXPECT_EQ(attention.dense().columns(), 3);
  EXPECT_THAT(Values(attention), ElementsAre(1, 0, 0, 0, 1, 0, 0, 0, 1));
  ASSERT_EQ(attention.source_words_size(), 3);
  EXPECT_EQ(attention.source_words(1).first_token(), 1);
  EXPECT_EQ(attention.source_words(1).token_count(), 2);
  EXPECT_EQ(attention.source_words(1).begin(), 16);  // in the request's text
  EXPECT_EQ(attention.source_words(1).end(), 21);
  EXPECT_TRUE(attention.source_words(2).special());
  ASSERT_EQ(attention.target_words_size(), 3);
  EXPECT_EQ(attention.target_words(1).begin(), 6);  // in the hypothesis' text
}

TEST(Fold, SumsColumnsAndAveragesRows) {
  AttentionMatrix matrix{.rows = 3, .columns = 3, .values = {0.5F, 0.25F, 0.25F, 0.1F, 0.2F, 0.7F, 0.3F, 0.4F, 0.3F}};
  const std::vector<WordSpan> target = {{0, 1, {}, false}, {1, 2, {}, false}};
  const std::vector<WordSpan> source = {{0, 2, {}, false}, {2, 1, {}, true}};
  const std::vector<float> folded = FoldToWords(matrix, target, source);
  ASSERT_EQ(folded.size(), 4U);
  EXPECT_FLOAT_EQ(folded[0], 0.75F);
  EXPECT_FLOAT_EQ(folded[1], 0.25F);
  EXPECT_FLOAT_EQ(folded[2], 0.5F);  // (0.3 + 0.7) / 2
  EXPECT_FLOAT_EQ(folded[3], 0.5F);
}

TEST_F(ReplyTest, AReplyThatTurnsOutTooLargeIsRefusedAllTheSame) {
  AdmittedRequest admitted = Admit(Texts({"hello"}));
  admitted.max_reply_bytes = 100;
  const absl::Status status = MakeReply(admitted, EchoAll(admitted)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("over max_reply_bytes (100)"));
}

TEST_F(ReplyTest, APartIsAHypothesisAndThePartsMakeTheSameResult) {
  TextRequest request = Texts({"Hello world. Hello. Hello"});
  request.search.set_beam_size(3);
  request.search.set_n_best(3);
  request.attention.emplace().unit = v1::ATTENTION_UNIT_WORDS;
  const AdmittedRequest admitted = Admit(std::move(request));
  std::vector<DecodeResult> decoded = EchoAll(admitted);
  ReplyMaker maker(&admitted);
  maker.Begin(0, &decoded);
  std::optional<v1::TextResult> result;
  int parts = 0;
  for (; !result.has_value(); ++parts) {
    auto made = maker.Step();
    ASSERT_TRUE(made.ok()) << made.status();
    result = *std::move(made);
  }
  EXPECT_EQ(parts, 13) << "three segments, three hypotheses each, and the whole text";
  const auto reply = MakeReply(admitted, EchoAll(admitted));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(result->SerializeAsString(), reply->results[0].SerializeAsString());
  EXPECT_EQ(maker.target_tokens(), reply->target_tokens);
}

}  // namespace
}  // namespace heed
