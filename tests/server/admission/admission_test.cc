#include "server/admission/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "server/admission/reply_size.h"
#include "server/admission/work.h"
#include "server/errors/errors.h"
#include "tests/server/models/fake_model.h"
#include "tests/support/shortlist_file.h"

namespace heed {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class AdmissionTest : public ::testing::Test {
 protected:
  void Serve(const FakeModelOptions& options) { registry_ = FakeRegistry({options}); }

  absl::StatusOr<AdmittedRequest> Admit(TextRequest request) {
    if (request.task == v1::TASK_UNSPECIFIED) request.task = v1::TASK_TRANSLATE;
    return Admission(registry_.get(), limits_).Admit(std::move(request));
  }
  AdmittedRequest MustAdmit(TextRequest request) {
    auto admitted = Admit(std::move(request));
    EXPECT_TRUE(admitted.ok()) << admitted.status();
    return admitted.ok() ? *std::move(admitted) : AdmittedRequest();
  }

  AdmissionLimits limits_;
  std::unique_ptr<Registry> registry_ = FakeRegistry({FakeModelOptions{}});
};

TextRequest Texts(std::vector<std::string> texts) {
  TextRequest request;
  request.texts = std::move(texts);
  return request;
}

struct Refusal {
  const char* name;
  std::function<void(TextRequest*)> change;
  const char* message;
};

class AdmissionRefusal : public AdmissionTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(AdmissionRefusal, NamesTheFieldItsValueAndTheBound) {
  TextRequest request = Texts({"hello"});
  GetParam().change(&request);
  const absl::Status status = Admit(std::move(request)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), GetParam().message);
}

const auto kNan = std::numeric_limits<float>::quiet_NaN();
const auto kInfinity = std::numeric_limits<float>::infinity();

INSTANTIATE_TEST_SUITE_P(
    Fields, AdmissionRefusal,
    ::testing::Values(
        Refusal{"NoTexts", [](TextRequest* r) { r->texts.clear(); },
                "texts is a list of 0; it must be a list of 1 to 256"},
        Refusal{"TooManyTexts", [](TextRequest* r) { r->texts.resize(257); },
                "texts is a list of 257; it must be a list of 1 to 256"},
        Refusal{"BeamZero", [](TextRequest* r) { r->search.set_beam_size(0); },
                "search.beam_size is 0; it must be 1 to 16"},
        Refusal{"BeamHuge", [](TextRequest* r) { r->search.set_beam_size(10000); },
                "search.beam_size is 10000; it must be 1 to 16"},
        Refusal{"BeamNegative", [](TextRequest* r) { r->search.set_beam_size(-1); },
                "search.beam_size is -1; it must be 1 to 16"},
        Refusal{"NBestAboveBeam",
                [](TextRequest* r) {
                  r->search.set_beam_size(5);
                  r->search.set_n_best(6);
                },
                "search.n_best is 6; it must be 1 to 5 (the beam size)"},
        Refusal{"NBestZero", [](TextRequest* r) { r->search.set_n_best(0); },
                "search.n_best is 0; it must be 1 to 1 (the beam size)"},
        Refusal{"MaxLengthZero", [](TextRequest* r) { r->search.set_max_length(0); },
                "search.max_length is 0; it must be 1 to 512"},
        Refusal{"MaxLengthHuge", [](TextRequest* r) { r->search.set_max_length(513); },
                "search.max_length is 513; it must be 1 to 512"},
        Refusal{"MinLengthNegative", [](TextRequest* r) { r->search.set_min_length(-1); },
                "search.min_length is -1; it must be 0 to 512"},
        Refusal{"MinLengthAboveMaxLength",
                [](TextRequest* r) {
                  r->search.set_max_length(4);
                  r->search.set_min_length(5);
                },
                "search.min_length is 5; it must be 0 to 4"},
        Refusal{"PenaltyNegative", [](TextRequest* r) { r->search.set_repetition_penalty(-1); },
                "search.repetition_penalty is -1; it must be 1 to 10"},
        Refusal{"PenaltyBelowOne", [](TextRequest* r) { r->search.set_repetition_penalty(0.5); },
                "search.repetition_penalty is 0.5; it must be 1 to 10"},
        Refusal{"PenaltyNan", [](TextRequest* r) { r->search.set_repetition_penalty(kNan); },
                "search.repetition_penalty is nan; it must be 1 to 10"},
        Refusal{"PenaltyInfinite", [](TextRequest* r) { r->search.set_repetition_penalty(kInfinity); },
                "search.repetition_penalty is inf; it must be 1 to 10"},
        Refusal{"NgramHuge", [](TextRequest* r) { r->search.set_no_repeat_ngram_size(17); },
                "search.no_repeat_ngram_size is 17; it must be 0 to 16"},
        Refusal{"AverageAlphaNegative", [](TextRequest* r) { r->search.mutable_average()->set_alpha(-0.5); },
                "search.average.alpha is -0.5; it must be 0 to 10"},
        Refusal{"GnmtAlphaHuge", [](TextRequest* r) { r->search.mutable_gnmt()->set_alpha(11); },
                "search.gnmt.alpha is 11; it must be 0 to 10"},
        Refusal{"GnmtBetaNegative", [](TextRequest* r) { r->search.mutable_gnmt()->set_beta(-1); },
                "search.gnmt.beta is -1; it must be 0 to 100"},
        Refusal{"LengthOffset", [](TextRequest* r) { r->search.set_length_offset(2); },
                "search.length_offset is 2; it must be -1 to 1"},
        Refusal{"MaxLengthTwice",
                [](TextRequest* r) {
                  r->search.set_max_length(9);
                  r->search.set_max_length_b(3);
                },
                "search.max_length is 9; it must be unset where max_length_a or max_length_b is set"},
        Refusal{"MinLengthTwice",
                [](TextRequest* r) {
                  r->search.set_min_length(2);
                  r->search.set_min_length_a(1);
                },
                "search.min_length is 2; it must be unset where min_length_a or min_length_b is set"},
        Refusal{"MaxLengthANan", [](TextRequest* r) { r->search.set_max_length_a(kNan); },
                "search.max_length_a is nan; it must be 0 to 100"},
        Refusal{"MaxLengthBNegative", [](TextRequest* r) { r->search.set_max_length_b(-1); },
                "search.max_length_b is -1; it must be 0 to 100000"},
        Refusal{"MinLengthAHuge", [](TextRequest* r) { r->search.set_min_length_a(101); },
                "search.min_length_a is 101; it must be 0 to 100"},
        Refusal{"MinLengthBHuge", [](TextRequest* r) { r->search.set_min_length_b(100001); },
                "search.min_length_b is 100001; it must be 0 to 100000"},
        Refusal{"UnknownPenalty", [](TextRequest* r) { r->search.set_unknown_penalty(101); },
                "search.unknown_penalty is 101; it must be -100 to 100"},
        Refusal{"WordPenaltyInfinite", [](TextRequest* r) { r->search.set_word_penalty(kInfinity); },
                "search.word_penalty is inf; it must be -100 to 100"},
        Refusal{"CoverageBeta", [](TextRequest* r) { r->search.set_coverage_beta(-0.5); },
                "search.coverage_beta is -0.5; it must be 0 to 100"},
        Refusal{"BeamPolicyUnknown",
                [](TextRequest* r) { r->search.set_beam_policy(static_cast<v1::BeamPolicy>(99)); },
                "search.beam_policy is 99; it must be a known BeamPolicy"},
        Refusal{"BeamStopUnknown", [](TextRequest* r) { r->search.set_beam_stop(static_cast<v1::BeamStop>(-1)); },
                "search.beam_stop is -1; it must be a known BeamStop"},
        Refusal{"UnfinishedUnknown",
                [](TextRequest* r) { r->search.set_unfinished(static_cast<v1::UnfinishedPolicy>(4)); },
                "search.unfinished is 4; it must be a known UnfinishedPolicy"},
        Refusal{"UnknownsUnknown", [](TextRequest* r) { r->search.set_unknowns(static_cast<v1::UnknownPolicy>(3)); },
                "search.unknowns is 3; it must be a known UnknownPolicy"},
        Refusal{"CoverageUnknown",
                [](TextRequest* r) { r->search.set_coverage_penalty(static_cast<v1::CoveragePenalty>(4)); },
                "search.coverage_penalty is 4; it must be a known CoveragePenalty"},
        Refusal{"SearchAttend", [](TextRequest* r) { r->search.set_attend("zz"); },
                "search.attend is \"zz\"; it must be an attend of the model: c"},
        Refusal{"UnknownPolicy", [](TextRequest* r) { r->too_long = static_cast<v1::TooLongPolicy>(7); },
                "too_long is 7; it must be a known TooLongPolicy"},
        Refusal{"ReplyBytesZero", [](TextRequest* r) { r->max_reply_bytes = 0; },
                "max_reply_bytes is 0; it must be 1 to 67108864"},
        Refusal{"PriorityUnknown", [](TextRequest* r) { r->priority = static_cast<v1::Priority>(3); },
                "priority is 3; it must be a known Priority"},
        Refusal{"TimeBudgetZero", [](TextRequest* r) { r->time_budget.emplace(); },
                "time_budget is 0; it must be 1ms to 24h"},
        Refusal{"TimeBudgetShort", [](TextRequest* r) { r->time_budget.emplace().set_nanos(999999); },
                "time_budget is 999.999us; it must be 1ms to 24h"},
        Refusal{"TimeBudgetNegative", [](TextRequest* r) { r->time_budget.emplace().set_seconds(-1); },
                "time_budget is -1s; it must be 1ms to 24h"},
        Refusal{"TimeBudgetLong",
                [](TextRequest* r) {
                  r->time_budget.emplace().set_seconds(86400);
                  r->time_budget->set_nanos(1);
                },
                "time_budget is 24h0.000000001s; it must be 1ms to 24h"},
        Refusal{"TimeBudgetHuge",
                [](TextRequest* r) { r->time_budget.emplace().set_seconds(std::numeric_limits<std::int64_t>::max()); },
                "time_budget is 2562047788015215h30m7s; it must be 1ms to 24h"},
        Refusal{"TimeBudgetOfTooManyNanoseconds",
                [](TextRequest* r) { r->time_budget.emplace().set_nanos(1000000000); },
                "time_budget.nanos is 1000000000; it must be 0 to 999999999"},
        Refusal{"TimeBudgetOfTwoSigns",
                [](TextRequest* r) {
                  r->time_budget.emplace().set_seconds(1);
                  r->time_budget->set_nanos(-1);
                },
                "time_budget.nanos is -1; it must be 0 to 999999999"},
        Refusal{"UnknownAttend", [](TextRequest* r) { r->attention.emplace().attends.push_back("zz"); },
                "attention.attends[0] is \"zz\"; it must be an attend of the model: c"},
        Refusal{"ComponentTwice",
                [](TextRequest* r) {
                  r->attention.emplace().components.push_back(v1::ATTENTION_COMPONENT_WEIGHTS);
                  r->attention->components.push_back(v1::ATTENTION_COMPONENT_UNSPECIFIED);
                },
                "attention.components[1] is given twice; it must be there at most once"},
        Refusal{"UnknownUnit",
                [](TextRequest* r) { r->attention.emplace().unit = static_cast<v1::AttentionUnit>(9); },
                "attention.unit is 9; it must be a known AttentionUnit"},
        Refusal{
            "EnergiesOfWords",
            [](TextRequest* r) {
              r->attention.emplace().components.push_back(v1::ATTENTION_COMPONENT_ENERGIES);
              r->attention->unit = v1::ATTENTION_UNIT_WORDS;
            },
            "attention.unit is ATTENTION_UNIT_WORDS; it must be pieces where energies are wanted: they do not fold"},
        Refusal{
            "ContextsOfWords",
            [](TextRequest* r) {
              r->attention.emplace().components.push_back(v1::ATTENTION_COMPONENT_WEIGHTS);
              r->attention->components.push_back(v1::ATTENTION_COMPONENT_CONTEXTS);
              r->attention->unit = v1::ATTENTION_UNIT_WORDS;
            },
            "attention.unit is ATTENTION_UNIT_WORDS; it must be pieces where contexts are wanted: they do not fold"},
        Refusal{"ContextsTwice",
                [](TextRequest* r) {
                  r->attention.emplace().components.push_back(v1::ATTENTION_COMPONENT_CONTEXTS);
                  r->attention->components.push_back(v1::ATTENTION_COMPONENT_CONTEXTS);
                },
                "attention.components[1] is given twice; it must be there at most once"}),
    [](const auto& refusal) { return std::string(refusal.param.name); });

TEST_F(AdmissionTest, SourceTokensCarryRangesOfTheWholeTextAndAFlaggedEos) {
  const AdmittedRequest admitted = MustAdmit(Texts({"  hello world"}));
  ASSERT_EQ(admitted.texts.size(), 1U);
  ASSERT_EQ(admitted.texts[0].segments.size(), 1U);
  const AdmittedSegment& segment = admitted.texts[0].segments[0];
  EXPECT_EQ(segment.range, (ByteRange{2, 13}));
  std::vector<std::string> tokens;
  for (const v1::Token& token : segment.source_tokens) {
    tokens.push_back(token.piece() + " " + std::to_string(token.begin()) + "-" + std::to_string(token.end()) +
                     (token.special() ? " special" : ""));
  }
  EXPECT_THAT(tokens, ElementsAre("_hello 2-7", "_wor 8-11", "ld 11-13", "</s> 13-13 special"));
  EXPECT_THAT(admitted.jobs.at(0).source, ElementsAre(3, 4, 5, 2));
  EXPECT_EQ(admitted.source_tokens, 4);
}

TEST_F(AdmissionTest, UnsetFieldsTakeTheModelsDefaults) {
  auto model = FakeModel();
  model->spec.mutable_search()->set_beam_size(3);
  model->spec.mutable_search()->mutable_average()->set_alpha(0.8F);
  model->spec.mutable_search()->set_max_length_a(3);
  model->spec.mutable_search()->set_max_length_b(1);
  std::vector<std::unique_ptr<ServedModel>> models;
  models.push_back(std::move(model));
  registry_ = std::make_unique<Registry>(std::move(models), std::vector<v1::ModelSummary>());
  const SearchOptions search = MustAdmit(Texts({"hello world"})).jobs.at(0).search;
  EXPECT_EQ(search.beam_size, 3);
  EXPECT_EQ(search.n_best, 1);
  EXPECT_EQ(search.max_length, 3 * 4 + 1);
  EXPECT_EQ(search.length_normalization, LengthNormalization::kPower);
  EXPECT_FLOAT_EQ(search.length_alpha, 0.8F);
}

TEST_F(AdmissionTest, ARequestsOwnOptionsReachTheJob) {
  TextRequest request = Texts({"hello"});
  request.search.set_beam_size(4);
  request.search.set_n_best(2);
  request.search.set_min_length(3);
  request.search.set_max_length(9);
  request.search.set_repetition_penalty(1.5);
  request.search.set_no_repeat_ngram_size(2);
  request.search.mutable_gnmt();
  const SearchOptions search = MustAdmit(std::move(request)).jobs.at(0).search;
  EXPECT_EQ(search.beam_size, 4);
  EXPECT_EQ(search.n_best, 2);
  EXPECT_EQ(search.min_length, 3);
  EXPECT_EQ(search.max_length, 9);
  EXPECT_FLOAT_EQ(search.repetition_penalty, 1.5F);
  EXPECT_EQ(search.no_repeat_ngram_size, 2);
  EXPECT_EQ(search.length_normalization, LengthNormalization::kGnmt);
  EXPECT_FLOAT_EQ(search.length_alpha, 0.6F);
}

TEST_F(AdmissionTest, TheDefaultMaxLengthStaysWithinTheServersBoundAndAboveMinLength) {
  limits_.max_target_tokens = 10;
  EXPECT_EQ(MustAdmit(Texts({"hello world"})).jobs.at(0).search.max_length, 10);
  limits_.max_target_tokens = 512;
  TextRequest request = Texts({"hello"});
  request.search.set_min_length(100);
  EXPECT_EQ(MustAdmit(std::move(request)).jobs.at(0).search.max_length, 101);
}

TEST_F(AdmissionTest, EmptyTextAndTextOfSpacesHaveNoSegmentsAndNoJobs) {
  const AdmittedRequest admitted = MustAdmit(Texts({"", " \n\t ", "hello"}));
  EXPECT_TRUE(admitted.texts[0].segments.empty());
  EXPECT_FALSE(admitted.texts[0].error.has_value());
  EXPECT_TRUE(admitted.texts[1].segments.empty());
  EXPECT_EQ(admitted.texts[2].segments.at(0).job, 0);
  EXPECT_EQ(admitted.jobs.size(), 1U);
}

TEST_F(AdmissionTest, ASegmentWithoutPiecesHasNoJob) {
  const AdmittedRequest admitted = MustAdmit(Texts({std::string("\0\0", 2)}));
  ASSERT_EQ(admitted.texts[0].segments.size(), 1U);
  EXPECT_EQ(admitted.texts[0].segments[0].job, -1);
  EXPECT_TRUE(admitted.jobs.empty());
}

TEST_F(AdmissionTest, EachSentenceIsAJobOfItsOwn) {
  Serve({.split_sentences = true});
  const AdmittedRequest admitted = MustAdmit(Texts({"hello world.\n\ngood day."}));
  ASSERT_EQ(admitted.texts[0].segments.size(), 2U);
  EXPECT_EQ(admitted.texts[0].segments[0].range, (ByteRange{0, 12}));
  EXPECT_EQ(admitted.texts[0].segments[1].range, (ByteRange{14, 23}));
  EXPECT_EQ(admitted.texts[0].segments[1].job, 1);
  EXPECT_EQ(admitted.texts[0].segments[1].source_tokens[0].begin(), 14);
}

TEST_F(AdmissionTest, FaultsOfATextAreItsOwn) {
  limits_.max_text_bytes = 20;
  const AdmittedRequest admitted = MustAdmit(Texts({"hello", std::string(21, 'x'), "hello \xff", "hello"}));
  EXPECT_FALSE(admitted.texts[0].error.has_value());
  ASSERT_TRUE(admitted.texts[1].error.has_value());
  EXPECT_EQ(admitted.texts[1].error->code(), 11);
  EXPECT_EQ(admitted.texts[1].error->message(), "the text has 21 bytes; at most 20 are taken");
  EXPECT_EQ(admitted.texts[1].error->quantity(), "bytes");
  EXPECT_EQ(admitted.texts[1].error->value(), 21);
  EXPECT_EQ(admitted.texts[1].error->bound(), 20);
  ASSERT_TRUE(admitted.texts[2].error.has_value());
  EXPECT_EQ(admitted.texts[2].error->code(), 3);
  EXPECT_EQ(admitted.jobs.size(), 2U);
  EXPECT_EQ(admitted.texts[3].segments.at(0).job, 1);
}

TEST_F(AdmissionTest, ATextOfTooManyTokensIsRefusedWithCountAndBound) {
  Serve({.max_source_tokens = 4});
  const AdmittedRequest admitted = MustAdmit(Texts({"hello world hello", "hello world"}));
  ASSERT_TRUE(admitted.texts[0].error.has_value());
  EXPECT_EQ(admitted.texts[0].error->code(), 11);
  EXPECT_EQ(admitted.texts[0].error->message(), "a segment of the text has 5 source tokens; at most 4 are taken");
  EXPECT_EQ(admitted.texts[0].error->quantity(), "source tokens");
  EXPECT_EQ(admitted.texts[0].error->value(), 5);
  EXPECT_EQ(admitted.texts[0].error->bound(), 4);
  EXPECT_TRUE(admitted.texts[0].segments.empty());
  EXPECT_EQ(admitted.texts[1].segments.at(0).job, 0);
}

TEST_F(AdmissionTest, ATruncatedSegmentKeepsItsEosAndSaysSo) {
  Serve({.max_source_tokens = 3});
  TextRequest request = Texts({"hello world"});
  request.too_long = v1::TOO_LONG_POLICY_TRUNCATE;
  const AdmittedRequest admitted = MustAdmit(std::move(request));
  const AdmittedSegment& segment = admitted.texts[0].segments.at(0);
  EXPECT_TRUE(segment.truncated);
  EXPECT_THAT(admitted.jobs.at(0).source, ElementsAre(3, 4, 2));
  EXPECT_EQ(segment.source_tokens.back().begin(), 9);
}

TEST_F(AdmissionTest, WhatBecomesOfATooLongSegmentIsTheModelsUnlessTheRequestSays) {
  auto model = FakeModel({.max_source_tokens = 4});
  model->spec.mutable_limits()->set_too_long(v1::TOO_LONG_POLICY_SPLIT);
  std::vector<std::unique_ptr<ServedModel>> models;
  models.push_back(std::move(model));
  registry_ = std::make_unique<Registry>(std::move(models), std::vector<v1::ModelSummary>());
  TextRequest request = Texts({"hello world hello"});
  EXPECT_GT(MustAdmit(request).texts.at(0).segments.size(), 1U);
  request.too_long = v1::TOO_LONG_POLICY_ERROR;
  EXPECT_TRUE(MustAdmit(std::move(request)).texts.at(0).error.has_value());
}

TEST_F(AdmissionTest, ASplitSegmentBecomesSeveralThatFit) {
  Serve({.max_source_tokens = 4});
  TextRequest request = Texts({"hello world hello", "hello", "hellohellohello"});
  request.too_long = v1::TOO_LONG_POLICY_SPLIT;
  const AdmittedRequest admitted = MustAdmit(std::move(request));
  for (const AdmittedText& text : admitted.texts) {
    ASSERT_FALSE(text.error.has_value()) << text.error->message();
    std::string joined;
    for (const AdmittedSegment& segment : text.segments) {
      EXPECT_FALSE(segment.truncated);
      EXPECT_LE(segment.source_tokens.size(), 4U);
      joined += text.text.substr(segment.range.begin, segment.range.end - segment.range.begin);
    }
    std::string expected = text.text;
    expected.erase(std::remove(expected.begin(), expected.end(), ' '), expected.end());
    joined.erase(std::remove(joined.begin(), joined.end(), ' '), joined.end());
    EXPECT_EQ(joined, expected) << "nothing is lost";
  }
  EXPECT_EQ(admitted.texts[0].segments.size(), 2U);
  EXPECT_EQ(admitted.texts[0].segments[1].range.end, 17);
  EXPECT_EQ(admitted.texts[1].segments.size(), 1U);
  EXPECT_GT(admitted.texts[2].segments.size(), 1U);
}

TEST_F(AdmissionTest, MoreSegmentsThanTheServerTakesFailTheRequest) {
  limits_.max_segments = 2;
  const absl::Status status = Admit(Texts({"hello", "hello", "hello"})).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), StartsWith("texts is more than 2 segments"));
}

TEST_F(AdmissionTest, AttentionOfAModelWithoutIsAFailedPrecondition) {
  Serve({.attends = {}});
  TextRequest request = Texts({"hello"});
  request.attention.emplace();
  const absl::Status status = Admit(std::move(request)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "model echo has no attention to return");
}

// The fake tokeniser's pieces have ids 3 to 11, so the target vocabulary ends at 12; what it lacks is cut into bytes.
TEST_F(AdmissionTest, WhatAModelCopiesHasTheTargetsIdOrOneOfTheJobsOwnForEachSpelling) {
  Serve({.copies = true});
  const AdmittedRequest admitted = MustAdmit(Texts({"  hello xyx world y y", "y"}));
  // _hello | _x y x | _wor ld | _y | _y | </s>
  EXPECT_THAT(admitted.jobs.at(0).source, ElementsAre(3, 0, 0, 0, 4, 5, 0, 0, 2));
  EXPECT_THAT(admitted.jobs.at(0).copy_ids, ElementsAre(3, 12, 13, 14, 4, 5, 15, 15, 2));
  EXPECT_THAT(admitted.jobs.at(1).copy_ids, ElementsAre(12, 2)) << "each job counts for itself";
  EXPECT_THAT(admitted.texts.at(0).segments.at(0).spellings,
              ElementsAre("_hello", "_x", "y", "x", "_wor", "ld", "_y", "_y", ""));
}

TEST_F(AdmissionTest, AModelThatDoesNotCopyGetsNoCopyIds) {
  const AdmittedRequest admitted = MustAdmit(Texts({"hello y"}));
  EXPECT_THAT(admitted.jobs.at(0).copy_ids, IsEmpty());
  EXPECT_THAT(admitted.texts.at(0).segments.at(0).spellings, IsEmpty());
}

TEST_F(AdmissionTest, SpellingsAreKeptWhereUnknownsAreReplaced) {
  TextRequest request = Texts({"hello y"});
  request.search.set_replace_unknowns(true);
  const AdmittedRequest admitted = MustAdmit(request);
  EXPECT_TRUE(admitted.jobs.at(0).sources);
  EXPECT_THAT(admitted.texts.at(0).segments.at(0).spellings, ElementsAre("_hello", "_y", ""));
}

TEST_F(AdmissionTest, JobsKnowWhichPositionsAreText) {
  DecodeJob job = MustAdmit(Texts({"hello world"})).jobs.at(0);
  EXPECT_EQ(job.text_begin, 0);
  EXPECT_EQ(job.text_end, 3);
  auto model = FakeModel({.copies = true});
  model->spec.mutable_source()->set_add_bos(true);
  std::vector<std::unique_ptr<ServedModel>> models;
  models.push_back(std::move(model));
  registry_ = std::make_unique<Registry>(std::move(models), std::vector<v1::ModelSummary>());
  const AdmittedRequest admitted = MustAdmit(Texts({" hello world"}));
  job = admitted.jobs.at(0);
  EXPECT_THAT(job.source, ElementsAre(1, 3, 4, 5, 2));
  EXPECT_THAT(job.copy_ids, ElementsAre(1, 3, 4, 5, 2)) << "<s> and </s> are the target's own";
  EXPECT_EQ(job.text_begin, 1);
  EXPECT_EQ(job.text_end, 4);
  const v1::Token& bos = admitted.texts.at(0).segments.at(0).source_tokens.at(0);
  EXPECT_TRUE(bos.special());
  EXPECT_EQ(bos.begin(), 1);
  EXPECT_EQ(bos.end(), 1);
}

TEST_F(AdmissionTest, TheModelsShortlistHoldsUnlessTheRequestTurnsItOff) {
  auto model = FakeModel();
  std::vector<std::vector<std::uint32_t>> lists(12);
  lists[3] = {9, 10};
  model->shortlist = *Shortlist::Parse("lex.bin", ShortlistBytes(3, lists), 12, 12, true);
  std::vector<std::unique_ptr<ServedModel>> models;
  models.push_back(std::move(model));
  registry_ = std::make_unique<Registry>(std::move(models), std::vector<v1::ModelSummary>());
  TextRequest request = Texts({"hello"});
  EXPECT_THAT(MustAdmit(request).jobs.at(0).shortlist, ElementsAre(0, 1, 2, 3, 4, 5, 9, 10));
  request.shortlist = true;
  EXPECT_THAT(MustAdmit(request).jobs.at(0).shortlist, SizeIs(8));
  request.shortlist = false;
  EXPECT_THAT(MustAdmit(request).jobs.at(0).shortlist, IsEmpty());
}

TEST_F(AdmissionTest, WorkHasThePriorityAndEndsOnceTheTimeBudgetIsOver) {
  const absl::Time received = absl::FromUnixSeconds(1000);
  AdmittedRequest plain = MustAdmit(Texts({"hello"}));
  std::unique_ptr<WorkItem> work = MakeWork(&plain, received, /*streamed=*/false);
  EXPECT_EQ(work->priority, Priority::kInteractive);
  EXPECT_EQ(work->finish_by, absl::InfiniteFuture());
  ASSERT_THAT(work->jobs, SizeIs(1));
  EXPECT_FALSE(work->jobs[0].progress);

  TextRequest request = Texts({"hello"});
  request.priority = v1::PRIORITY_BATCH;
  request.time_budget.emplace().set_nanos(1500000);
  AdmittedRequest admitted = MustAdmit(std::move(request));
  work = MakeWork(&admitted, received, /*streamed=*/true);
  EXPECT_EQ(work->priority, Priority::kBatch);
  EXPECT_EQ(work->finish_by, received + absl::Microseconds(1500));
  ASSERT_THAT(work->jobs, SizeIs(1));
  EXPECT_TRUE(work->jobs[0].progress);
}

TEST_F(AdmissionTest, AShortlistOfAModelWithoutIsAFailedPrecondition) {
  TextRequest request = Texts({"hello"});
  request.shortlist = false;
  EXPECT_TRUE(Admit(request).ok());
  request.shortlist = true;
  const absl::Status status = Admit(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "model echo has no shortlist");
}

TEST_F(AdmissionTest, AttentionDefaultsToTheWeightsOfEveryAttend) {
  Serve({.attends = {"c", "d"}});
  EXPECT_FALSE(MustAdmit(Texts({"hello"})).jobs.at(0).capture.any());
  TextRequest request = Texts({"hello"});
  request.attention.emplace();
  Capture capture = MustAdmit(request).jobs.at(0).capture;
  EXPECT_TRUE(capture.weights);
  EXPECT_FALSE(capture.energies);
  EXPECT_THAT(capture.attends, ElementsAre(0, 1));
  request.attention->attends.push_back("d");
  request.attention->attends.push_back("d");
  request.attention->components.push_back(v1::ATTENTION_COMPONENT_ENERGIES);
  capture = MustAdmit(request).jobs.at(0).capture;
  EXPECT_FALSE(capture.weights);
  EXPECT_TRUE(capture.energies);
  EXPECT_THAT(capture.attends, ElementsAre(1));
}

TEST_F(AdmissionTest, ContextsAreCountedByTheirRowsAndTheirSize) {
  Serve({.attends = {"c", "d"}});
  TextRequest request = Texts({"hello world"});
  request.search.set_beam_size(4);
  request.search.set_n_best(4);
  request.search.set_max_length(500);
  request.attention.emplace().components.push_back(v1::ATTENTION_COMPONENT_WEIGHTS);
  request.max_reply_bytes = 64 << 20;
  const AdmittedRequest weights = MustAdmit(request);
  EXPECT_FALSE(weights.jobs.at(0).capture.contexts);
  request.attention->components.push_back(v1::ATTENTION_COMPONENT_CONTEXTS);
  const AdmittedRequest both = MustAdmit(request);
  EXPECT_TRUE(both.jobs.at(0).capture.contexts);
  // Four hypotheses of 500 rows, two attends of three numbers each, and what a matrix has beside its numbers.
  const std::int64_t numbers = 4 * 500 * 2 * kFakeContext * 4;
  EXPECT_GE(both.reply_bytes_estimate, weights.reply_bytes_estimate + numbers);
  EXPECT_LE(both.reply_bytes_estimate, weights.reply_bytes_estimate + numbers + 4 * 2 * 100);
  request.max_reply_bytes = both.reply_bytes_estimate - 1;
  const absl::Status status = Admit(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("weights alone"), Not(HasSubstr("words instead of pieces"))));
  request.attention->attends.push_back("c");
  EXPECT_LE(MustAdmit(request).reply_bytes_estimate, weights.reply_bytes_estimate) << "three numbers, four tokens";
}

TEST_F(AdmissionTest, AReplyThatCouldBeTooLargeIsRefusedBeforeDecodingWithRemedies) {
  TextRequest request = Texts({"hello world", "hello"});
  request.search.set_beam_size(4);
  request.search.set_n_best(4);
  request.search.set_max_length(512);
  request.attention.emplace();
  request.max_reply_bytes = 40000;
  const absl::Status status = Admit(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(RetryDelay(status).has_value());
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr("over max_reply_bytes (40000)"));
  for (const char* remedy : {"fewer texts", "words instead of pieces", "a lower max_length", "a lower n_best",
                             "a higher max_reply_bytes (at most 67108864)"}) {
    EXPECT_THAT(message, HasSubstr(remedy));
  }
  request.search.set_max_length(64);
  EXPECT_TRUE(Admit(request).ok());
}

TEST_F(AdmissionTest, AnOrdinaryRequestWithoutAttentionFitsTheDefaultReply) {
  Serve({.split_sentences = true, .max_source_tokens = 512});
  std::string text;
  for (int i = 0; i < 15; ++i) text += "good day world ";
  TextRequest request = Texts(std::vector<std::string>(256, text + "."));
  request.search.set_beam_size(5);
  EXPECT_TRUE(Admit(std::move(request)).ok());
}

TEST_F(AdmissionTest, APartIsASegmentAndThePartsMakeTheSameRequest) {
  Serve({.split_sentences = true});
  const std::vector<std::string> texts = {"hello world. Hello. Good day", "", "good day\nhello", std::string("\xff"),
                                          " Hello "};
  const Admission admission(registry_.get(), limits_);
  TextRequest request = Texts(texts);
  request.task = v1::TASK_TRANSLATE;
  auto work = admission.Start(*admission.Select(request));
  ASSERT_TRUE(work.ok()) << work.status();
  int parts = 1;
  for (auto more = (*work)->Step(); *more; more = (*work)->Step()) {
    ASSERT_TRUE(more.ok()) << more.status();
    ++parts;
  }
  // Six segments, five ends of texts, five texts sized.
  EXPECT_EQ(parts, 16);
  const AdmittedRequest admitted = (*work)->Take();
  const AdmittedRequest whole = MustAdmit(request);
  ASSERT_THAT(admitted.jobs, SizeIs(6));
  ASSERT_THAT(whole.jobs, SizeIs(6));
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(admitted.jobs[i].source, whole.jobs[i].source);
  EXPECT_EQ(admitted.texts[0].segments[1].range, (ByteRange{13, 19}));
  EXPECT_TRUE(admitted.texts[3].error.has_value());
  EXPECT_EQ(admitted.source_tokens, whole.source_tokens);
  EXPECT_EQ(admitted.reply_bytes_estimate, whole.reply_bytes_estimate);
}

TEST_F(AdmissionTest, WhatNobodyWantsAnyMoreIsFreedATextAtATime) {
  const Admission admission(registry_.get(), limits_);
  TextRequest request = Texts({"hello", "good day", "Hello"});
  request.task = v1::TASK_TRANSLATE;
  auto work = admission.Start(*admission.Select(request));
  ASSERT_TRUE(work.ok()) << work.status();
  EXPECT_TRUE(*(*work)->Step());
  EXPECT_TRUE((*work)->Release());
  EXPECT_TRUE((*work)->Release());
  EXPECT_FALSE((*work)->Release());
  EXPECT_FALSE((*work)->Release());
}

}  // namespace
}  // namespace heed
