// From what search saw to how likely an output is right.
#include "server/reply/confidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "server/reply/reply.h"
#include "server/reply/segment_stream.h"
#include "tests/server/models/fake_model.h"

namespace heed {
namespace {

double Logistic(double x) { return 1 / (1 + std::exp(-x)); }

TEST(SegmentConfidence, IsTheLogisticOfItsFeatures) {
  const std::vector<float> tokens = {-0.5F, -2, -0.25F, -0.25F};
  model::v1::SegmentFit fit;
  fit.set_bias(0.5);
  EXPECT_DOUBLE_EQ(SegmentConfidence(fit, tokens, 2), Logistic(0.5));
  fit.set_mean_log_probability(3);
  EXPECT_DOUBLE_EQ(SegmentConfidence(fit, tokens, 2), Logistic(0.5 - 3 * 0.75));
  fit.set_least_log_probability(0.5);
  EXPECT_DOUBLE_EQ(SegmentConfidence(fit, tokens, 2), Logistic(0.5 - 3 * 0.75 - 1));
  fit.set_log_length(-0.1);
  fit.set_log_length_ratio(2);
  EXPECT_DOUBLE_EQ(SegmentConfidence(fit, tokens, 2),
                   Logistic(0.5 - 3 * 0.75 - 1 - 0.1 * std::log(4.0) + 2 * std::log(4.0 / 2)));
}

model::v1::CurvePoint Point(double logistic, double probability) {
  model::v1::CurvePoint point;
  point.set_logistic(logistic);
  point.set_probability(probability);
  return point;
}

TEST(SegmentConfidence, IsCorrectedAlongTheCurve) {
  model::v1::SegmentFit fit;
  *fit.add_curve() = Point(0.25, 0.1);
  *fit.add_curve() = Point(0.5, 0.4);
  *fit.add_curve() = Point(0.75, 0.4);
  const auto at = [&fit](double logistic) {
    fit.set_bias(std::log(logistic / (1 - logistic)));
    return SegmentConfidence(fit, std::vector<float>{-1}, 1);
  };
  EXPECT_NEAR(at(0.125), 0.05, 1e-12) << "it begins at (0, 0)";
  EXPECT_NEAR(at(0.25), 0.1, 1e-12);
  EXPECT_NEAR(at(0.375), 0.25, 1e-12);
  EXPECT_NEAR(at(0.6), 0.4, 1e-12);
  EXPECT_NEAR(at(0.875), 0.7, 1e-12) << "and ends at (1, 1)";
  *fit.add_curve() = Point(1, 0.5);
  EXPECT_NEAR(at(0.875), 0.45, 1e-12);
  fit.set_bias(1000);
  EXPECT_EQ(SegmentConfidence(fit, std::vector<float>{-1}, 1), 0.5) << "the logistic is 1";
  fit.mutable_curve(0)->set_logistic(0);
  fit.set_bias(-1000);
  EXPECT_EQ(SegmentConfidence(fit, std::vector<float>{-1}, 1), 0.1);
}

TEST(SegmentConfidence, StaysAProbabilityWhateverTheLogProbabilities) {
  const float infinity = std::numeric_limits<float>::infinity();
  model::v1::SegmentFit fit;
  fit.set_bias(0);
  fit.set_mean_log_probability(1000);
  EXPECT_EQ(SegmentConfidence(fit, std::vector<float>{-0.5F, -infinity}, 1), 0);
  fit.set_mean_log_probability(-1000);
  EXPECT_EQ(SegmentConfidence(fit, std::vector<float>{-0.5F, -infinity}, 1), 1);
  fit.set_mean_log_probability(0);
  EXPECT_EQ(SegmentConfidence(fit, std::vector<float>{-0.5F, -infinity}, 1), 0.5) << "no weight, no effect";
  fit.set_mean_log_probability(0.01);
  EXPECT_DOUBLE_EQ(SegmentConfidence(fit, std::vector<float>{-1000}, 1), Logistic(-1)) << "-100 at the least";
}

TEST(TokenConfidence, SeesItsNeighboursAndTheMean) {
  const std::vector<float> tokens = {-1, -0.5F, -0.25F, -4, -0.25F};
  model::v1::TokenFit fit;
  fit.set_bias(1);
  fit.set_log_probability(2);
  EXPECT_DOUBLE_EQ(TokenConfidence(fit, tokens, 1), Logistic(1 - 1));
  fit.set_near_log_probability(0.5);
  EXPECT_DOUBLE_EQ(TokenConfidence(fit, tokens, 0), Logistic(1 - 2 - 0.5)) << "nothing is before it";
  EXPECT_DOUBLE_EQ(TokenConfidence(fit, tokens, 1), Logistic(1 - 1 - 0.5));
  EXPECT_DOUBLE_EQ(TokenConfidence(fit, tokens, 2), Logistic(1 - 0.5 - 2)) << "the next one is the least";
  EXPECT_DOUBLE_EQ(TokenConfidence(fit, tokens, 4), Logistic(1 - 0.5 - 2)) << "nothing is behind it";
  fit.set_mean_log_probability(1);
  EXPECT_DOUBLE_EQ(TokenConfidence(fit, tokens, 1), Logistic(1 - 1 - 0.5 - 1.2));
  *fit.add_curve() = Point(0.5, 0.25);
  EXPECT_DOUBLE_EQ(TokenConfidence(fit, tokens, 1), Logistic(1 - 1 - 0.5 - 1.2) / 2);
}

// The echo model: log-probability -0.5 a token, with a calibration by mean and length, and Hangul as its sources'
// script.
class CalibratedReplies : public ::testing::Test {
 protected:
  CalibratedReplies() {
    auto made = FakeModel({.split_sentences = true});
    ServedModel& model = *made;
    model::v1::Confidence& confidence = *model.spec.mutable_confidence();
    confidence.mutable_segment()->set_bias(1);
    confidence.mutable_segment()->set_mean_log_probability(1);
    confidence.mutable_segment()->set_log_length(-1);
    confidence.mutable_token()->set_bias(0.25);
    confidence.mutable_token()->set_mean_log_probability(1);
    confidence.set_doubtful(0.3);
    model.spec.mutable_source_scripts()->add_scripts("Hang");
    model.spec.mutable_source_scripts()->set_least_share(0.5);
    model.coverage = *ScriptCoverage::Make(model.spec.source_scripts(), model.spec.source(), *model.source_tokenizer);
    registry_ = RegistryOf(std::move(made));
  }

  AdmittedRequest Admit(const std::string& text, int beam = 1, int max_length = 0) {
    TextRequest request;
    request.task = v1::TASK_TRANSLATE;
    request.texts = {text};
    request.search.set_beam_size(beam);
    request.search.set_n_best(beam);
    if (max_length > 0) request.search.set_max_length(max_length);
    auto admitted = Admission(registry_.get(), AdmissionLimits()).Admit(std::move(request));
    EXPECT_TRUE(admitted.ok()) << admitted.status();
    return *std::move(admitted);
  }

  // The reply to one text, and what was counted.
  v1::TextOutput Answer(const AdmittedRequest& request, std::vector<DecodeResult> decoded) {
    ReplyMaker maker(&request);
    auto result = maker.Make(0, &decoded);
    EXPECT_TRUE(result.ok()) << result.status();
    doubtful_ = maker.doubtful_outputs();
    low_ = maker.low_coverage_segments();
    return result->output();
  }
  v1::TextOutput Answer(const AdmittedRequest& request) { return Answer(request, EchoAll(request)); }

  std::unique_ptr<Registry> registry_;
  std::int64_t doubtful_ = 0, low_ = 0;
};

TEST_F(CalibratedReplies, EachHypothesisAndTokenHasItsConfidence) {
  const v1::TextOutput output = Answer(Admit("hello world", /*beam=*/2));
  ASSERT_EQ(output.segments(0).hypotheses_size(), 2);
  for (const v1::Hypothesis& hypothesis : output.segments(0).hypotheses()) {
    ASSERT_EQ(hypothesis.tokens_size(), 4);
    EXPECT_FLOAT_EQ(hypothesis.confidence(), static_cast<float>(Logistic(1 - 0.5 - std::log(4.0))));
    EXPECT_TRUE(hypothesis.doubtful()) << hypothesis.confidence();
    EXPECT_FLOAT_EQ(hypothesis.tokens(0).confidence(), static_cast<float>(Logistic(-0.25)));
    EXPECT_TRUE(hypothesis.tokens(2).has_confidence());
    EXPECT_FALSE(hypothesis.tokens(3).has_confidence()) << "</s>";
  }
  EXPECT_EQ(doubtful_, 1) << "of the best hypotheses";
}

TEST_F(CalibratedReplies, WhatIsSureIsNotDoubtful) {
  const v1::Hypothesis hypothesis = Answer(Admit("hello")).segments(0).hypotheses(0);
  EXPECT_FLOAT_EQ(hypothesis.confidence(), static_cast<float>(Logistic(0.5 - std::log(2.0))));
  EXPECT_FALSE(hypothesis.doubtful());
  EXPECT_EQ(doubtful_, 0);
}

TEST_F(CalibratedReplies, WhatIsNotWholeHasNoneButItsTokensDo) {
  const v1::Hypothesis cut = Answer(Admit("hello world", 1, /*max_length=*/2)).segments(0).hypotheses(0);
  EXPECT_EQ(cut.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_TRUE(cut.has_confidence());
  EXPECT_EQ(cut.confidence(), 0);
  EXPECT_TRUE(cut.doubtful());
  EXPECT_FLOAT_EQ(cut.tokens(1).confidence(), static_cast<float>(Logistic(-0.25)));
}

TEST_F(CalibratedReplies, WhatSaysNothingHasNone) {
  const AdmittedRequest request = Admit("hello");
  DecodeResult nothing;  // </s> alone, and sure of it
  nothing.hypotheses.push_back({.tokens = {2}, .log_probabilities = {-0.001F}});
  const v1::Hypothesis empty = Answer(request, {nothing}).segments(0).hypotheses(0);
  EXPECT_EQ(empty.finish_reason(), v1::FINISH_REASON_EOS);
  EXPECT_TRUE(empty.has_confidence());
  EXPECT_EQ(empty.confidence(), 0);
  EXPECT_TRUE(empty.doubtful());
  const v1::Hypothesis late = Answer(request, {DecodeResult()}).segments(0).hypotheses(0);
  EXPECT_EQ(late.finish_reason(), v1::FINISH_REASON_TIME_BUDGET) << "the time was over before its first step";
  EXPECT_TRUE(late.has_confidence());
  EXPECT_TRUE(late.doubtful());
  EXPECT_EQ(doubtful_, 1);
}

TEST_F(CalibratedReplies, CopiedTokensAreAsSureAsTheirLogProbabilitySays) {
  auto model = FakeModel({.copies = true});
  model->spec.mutable_confidence()->mutable_token()->set_log_probability(1);
  registry_ = RegistryOf(std::move(model));
  const AdmittedRequest request = Admit("y");
  DecodeResult copied;
  copied.hypotheses.push_back({.tokens = {12, 2}, .log_probabilities = {-2, -0.5F}, .copies = {{.source = 0}, {}}});
  const v1::Hypothesis hypothesis = Answer(request, {copied}).segments(0).hypotheses(0);
  EXPECT_EQ(hypothesis.text(), "y");
  EXPECT_FLOAT_EQ(hypothesis.tokens(0).confidence(), static_cast<float>(Logistic(-2)));
}

TEST_F(CalibratedReplies, ASegmentSaysHowMuchOfItsSourceTheModelKnows) {
  // Pieces _안녕 하세요 _wor ld . and, of the second, _Hello and unknown ones.
  const v1::TextOutput output = Answer(Admit("안녕하세요 world. Hello 7"));
  ASSERT_EQ(output.segments_size(), 2);
  EXPECT_FLOAT_EQ(output.segments(0).source_coverage().share(), 0.5F);
  EXPECT_FLOAT_EQ(output.segments(0).source_coverage().least_share(), 0.5F);
  EXPECT_FALSE(output.segments(0).source_coverage().low()) << "not less than the bound";
  EXPECT_FLOAT_EQ(output.segments(1).source_coverage().share(), 0);
  EXPECT_TRUE(output.segments(1).source_coverage().low());
  EXPECT_EQ(low_, 1);
  const v1::TextOutput number = Answer(Admit("안녕 7 8"));
  EXPECT_FLOAT_EQ(number.segments(0).source_coverage().share(), 1.0F / 3) << "unknown pieces count, letters or not";
}

TEST_F(CalibratedReplies, ASegmentWithoutALetterOrWithoutAPieceHasNoCoverage) {
  v1::Token mark;
  mark.set_id(8);
  const ModelHandle model = registry_->models()[0];
  ASSERT_EQ(model->source_tokenizer->Piece(8), ".");
  EXPECT_FALSE(CoverageOf(*model, {mark}).has_value());
  EXPECT_FALSE(Answer(Admit(std::string("\0", 1))).segments(0).has_source_coverage());
  EXPECT_EQ(low_, 0);
}

TEST_F(CalibratedReplies, ABundleThatSaysNothingMakesRepliesThatSayNothing) {
  registry_ = FakeRegistry({FakeModelOptions{}});
  const v1::Segment segment = Answer(Admit("hello")).segments(0);
  EXPECT_FALSE(segment.has_source_coverage());
  EXPECT_FALSE(segment.hypotheses(0).has_confidence());
  EXPECT_FALSE(segment.hypotheses(0).tokens(0).has_confidence());
}

TEST_F(CalibratedReplies, ProgressHasNoConfidenceForLaterTokensChangeIt) {
  const AdmittedRequest request = Admit("hello");
  SegmentStream stream(&request, 0, 0, false);
  stream.Add(std::move(EchoAll(request)[0].hypotheses[0]));
  const auto progress = stream.Take(/*end=*/true);
  ASSERT_TRUE(progress.has_value());
  for (const v1::Token& token : progress->tokens()) EXPECT_FALSE(token.has_confidence());
}

}  // namespace
}  // namespace heed
