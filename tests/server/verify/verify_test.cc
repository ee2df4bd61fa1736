// heed-server verify: a true certificate passes, and each kind of wrong value in it fails and is named.
#include "server/verify/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "engine/kernels/instruction_set.h"
#include "engine/model/checker.h"
#include "engine/run/plan.h"
#include "server/text/tokenizer.h"
#include "server/verify/report.h"
#include "tests/support/attention_models.h"
#include "tests/support/test_models.h"

namespace heed {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

constexpr int kPieces = 380;  // of the vocabulary

Bundle WithVocabulary(BundleBuilder builder) {
  std::ifstream file("tests/data/text/unigram.model", std::ios::binary);
  const std::string vocabulary{std::istreambuf_iterator<char>(file), {}};
  Bundle bundle = builder.Build();
  bundle.files = {{"source.spm", vocabulary}, {"target.spm", vocabulary}};
  return bundle;
}

TestSizes Sizes() { return {.source_vocabulary = kPieces, .target_vocabulary = kPieces}; }

// What the engine itself says of `source`: freely, or along `targets`.
Json CaseOf(const Bundle& bundle, const std::vector<TokenId>& source, const std::vector<TokenId>& targets = {},
            const std::vector<TokenId>& copy_ids = {}) {
  const auto program = CheckProgram(bundle);
  const auto plan = Plan::Make(bundle, *program, {});
  DecodeJob job{.source = source, .forced = targets, .copy_ids = copy_ids};
  job.search.max_length = 2 * static_cast<int>(source.size()) + 20;
  job.capture = {.weights = true, .energies = true, .contexts = true, .attends = {}};
  for (std::size_t i = 0; i < (*plan)->attends().size(); ++i) job.capture.attends.push_back(static_cast<int>(i));
  const auto engine = (*plan)->MakeEngine().value();
  engine->Admit(1, &job);
  StepReport report;
  while (report.finished.empty()) engine->Step(&report);
  const DecodedHypothesis got = engine->Take(1).hypotheses.at(0);
  Json json = {{"source_ids", source},
               {"target_ids", got.tokens},
               {"log_probabilities", got.log_probabilities},
               {"finish", got.finish == FinishReason::kEos ? "eos" : "length"},
               {"attentions", Json::array()}};
  if (!copy_ids.empty()) json["copy_ids"] = copy_ids;
  for (const CopiedToken& copied : got.copies) json["copy_gates"].push_back(copied.gate);
  for (const AttentionMatrix& m : got.attentions) {
    Json rows = Json::array();
    for (int t = 0; t < m.rows; ++t) {
      const auto row = m.values.begin() + static_cast<std::ptrdiff_t>(t) * m.columns;
      rows.push_back(std::vector<float>(row, row + m.columns));
    }
    const std::string& attend = (*plan)->attends()[static_cast<std::size_t>(m.attend)].name;
    auto& all = json["attentions"];
    auto entry = std::find_if(all.begin(), all.end(),
                              [&](const Json& a) { return a["attend"] == attend && a["head"] == m.head; });
    if (entry == all.end()) {
      all.push_back({{"attend", attend}, {"head", m.head}});
      entry = std::prev(all.end());
    }
    const char* components[] = {"weights", "energies", "contexts"};
    (*entry)[components[static_cast<int>(m.component)]] = std::move(rows);
  }
  return json;
}

Json CertificateOf(const Bundle& bundle) {
  return {{"format_version", 1},
          {"reference", "the engine itself"},
          {"search", {{"beam_size", 1}, {"max_length_a", 2}, {"max_length_b", 20}}},
          {"tolerance", Json::object()},
          {"cases", {CaseOf(bundle, {7, 40, 12, 2}), CaseOf(bundle, {300, 2}), CaseOf(bundle, {9, 9, 9, 9, 9, 2})}}};
}

absl::StatusOr<VerifyReport> VerifyBy(Bundle bundle, const Json& certificate,
                                      Precision precision = Precision::kFloat32) {
  bundle.files["parity.json"] = certificate.dump();
  return Verify(std::move(bundle), precision);
}

std::vector<std::string> Beyond(const VerifyReport& report) {
  std::vector<std::string> names;
  for (const VerifiedValue& value : report.values) {
    if (!value.ok()) names.push_back(value.name + " at " + value.where);
  }
  return names;
}

class VerifyTest : public ::testing::Test {
 protected:
  VerifyReport Checked(const Json& certificate, Precision precision = Precision::kFloat32) {
    auto report = VerifyBy(bundle_, certificate, precision);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *std::move(report) : VerifyReport{};
  }
  std::string Refusal(const Json& certificate) {
    const auto report = VerifyBy(bundle_, certificate);
    EXPECT_FALSE(report.ok());
    return std::string(report.status().message());
  }

  const Bundle bundle_ = WithVocabulary(Variety(Sizes()));  // its attend "c" has two heads
  Json good_ = CertificateOf(bundle_);
};

TEST_F(VerifyTest, ATrueCertificatePassesWithEveryValueNamed) {
  const VerifyReport report = Checked(good_);
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.cases, 3);
  EXPECT_EQ(report.same, 3);
  EXPECT_EQ(report.ties, 0);
  ASSERT_EQ(report.values.size(), 4U);
  EXPECT_EQ(report.values[3].name, "c") << "the context";
  EXPECT_EQ(report.values[0].name, "log_probability");
  EXPECT_EQ(report.values[1].name, "c.weights");
  EXPECT_EQ(report.values[2].name, "c.energies");
  std::int64_t weights = 0;
  for (const Json& example : good_["cases"]) weights += 2 * example["source_ids"].size() * example["target_ids"].size();
  EXPECT_EQ(report.values[1].compared, weights);
  EXPECT_LT(report.values[1].max_error, 1e-6);
}

TEST_F(VerifyTest, AModelWithoutAttentionPassesToo) {
  const Bundle plain = WithVocabulary(NoAttention(Sizes()));
  const auto report = VerifyBy(plain, CertificateOf(plain));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->ok());
  EXPECT_EQ(report->values.size(), 1U);
}

TEST_F(VerifyTest, AWrongValueIsBeyondItsToleranceAndNamed) {
  Json wrong = good_;
  double x = wrong["cases"][1]["log_probabilities"][0];
  wrong["cases"][1]["log_probabilities"][0] = x - 0.01;
  EXPECT_THAT(Beyond(Checked(wrong)), ElementsAre("log_probability at cases[1] step 0"));

  wrong = good_;
  x = wrong["cases"][2]["attentions"][1]["weights"][1][4];
  wrong["cases"][2]["attentions"][1]["weights"][1][4] = x + 0.001;
  EXPECT_THAT(Beyond(Checked(wrong)), ElementsAre("c.weights at cases[2] head 1 step 1 position 4"));

  wrong = good_;
  x = wrong["cases"][0]["attentions"][0]["energies"][0][2];
  wrong["cases"][0]["attentions"][0]["energies"][0][2] = x + 0.001 * std::max(1.0, std::abs(x));
  VerifyReport report = Checked(wrong);
  EXPECT_THAT(Beyond(report), ElementsAre("c.energies at cases[0] step 0 position 2"));
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.same, 3) << "the tokens are right all the same";

  wrong = good_;
  x = wrong["cases"][0]["attentions"][0]["contexts"][1][3];
  wrong["cases"][0]["attentions"][0]["contexts"][1][3] = x + 0.01;
  EXPECT_THAT(Beyond(Checked(wrong)), ElementsAre("c at cases[0] step 1 position 3"));
  for (Json& row : wrong["cases"][0]["attentions"][0]["contexts"]) row.push_back(0);
  report = Checked(wrong);
  EXPECT_THAT(report.faults, ElementsAre(HasSubstr("cases[0] c has rows of")));
}

TEST_F(VerifyTest, AToleranceIsRelativeToTheCertificatesOwnValueWhereThatIsLarge) {
  Json wrong = good_;
  wrong["tolerance"] = {{"log_probability", 0.5}};
  const double x = wrong["cases"][0]["log_probabilities"][0];
  ASSERT_LT(x, -1.5);
  wrong["cases"][0]["log_probabilities"][0] = 1.9 * x;
  EXPECT_THAT(Beyond(Checked(wrong)), IsEmpty()) << "0.9 / 1.9 is below a half";
  wrong["cases"][0]["log_probabilities"][0] = 2.1 * x;
  EXPECT_THAT(Beyond(Checked(wrong)), ElementsAre("log_probability at cases[0] step 0"));
}

TEST_F(VerifyTest, OtherTokensThanTheCertificatesAreAFaultUnlessTheirMarginIsSmall) {
  const TokenId first = good_["cases"][0]["target_ids"][0];
  const TokenId other = first == 30 ? 31 : 30;
  Json wrong = good_;
  wrong["cases"][0] = CaseOf(bundle_, {7, 40, 12, 2}, {other, 44, 2});
  VerifyReport report = Checked(wrong);
  EXPECT_THAT(report.faults, ElementsAre("cases[0].target_ids[0] is 30, decoding here gives " + std::to_string(first)));
  EXPECT_THAT(Beyond(report), IsEmpty()) << "the values along its tokens are right";
  EXPECT_EQ(report.same, 2);
  EXPECT_FALSE(report.ok());

  wrong["cases"][0]["margins"] = {0.0005, 1, 1};
  report = Checked(wrong);
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.same, 2);
  EXPECT_EQ(report.ties, 1);

  wrong["cases"][0]["margins"] = {1, 0.0005, 1};
  EXPECT_FALSE(Checked(wrong).ok()) << "they part before the tie";
}

// int8 of a machine of any kind: what differs from the certificate is far more, or far less, than rounding.
TEST_F(VerifyTest, ARoundedPrecisionHasTolerancesOfItsOwnWhichAFaultIsBeyond) {
  VerifyReport report = Checked(good_, Precision::kInt8);
  EXPECT_TRUE(report.ok()) << ReportText(report);
  ASSERT_EQ(report.values[0].name, "log_probability");
  EXPECT_EQ(report.values[0].tolerance, 0.5);
  EXPECT_EQ(report.margin, 0.5);
  Json wrong = good_;
  const double x = wrong["cases"][1]["log_probabilities"][0];
  wrong["cases"][1]["log_probabilities"][0] = x - 0.01;
  EXPECT_THAT(Beyond(Checked(wrong)), ElementsAre("log_probability at cases[1] step 0"));
  EXPECT_THAT(Beyond(Checked(wrong, Precision::kInt8)), IsEmpty());
  wrong["cases"][1]["log_probabilities"][0] = 3 * x - 3;
  EXPECT_THAT(Beyond(Checked(wrong, Precision::kInt8)), ElementsAre("log_probability at cases[1] step 0"));
  wrong = good_;
  wrong["tolerance"] = {{"log_probability", 0.9}};
  EXPECT_EQ(Checked(wrong, Precision::kInt8).values[0].tolerance, 0.9) << "the certificate's own, where it is wider";
}

// Of a reference that rounds to int8 itself float32 is the other model.
TEST_F(VerifyTest, ACertificateOfInt8HoldsInt8ToWhatItStates) {
  Json of_int8 = good_;
  of_int8["precision"] = "int8";
  of_int8["tolerance"] = {
      {"log_probability", 0.25}, {"weight", 0.125}, {"energy", 0.25}, {"context", 0.25}, {"margin", 0.375}};
  const VerifyReport int8 = Checked(of_int8, Precision::kInt8);
  EXPECT_TRUE(int8.ok()) << ReportText(int8);
  EXPECT_EQ(int8.values[0].tolerance, Int8IsFine() ? 0.25 : 0.5);
  EXPECT_EQ(int8.margin, Int8IsFine() ? 0.375 : 0.5);
  EXPECT_EQ(Checked(of_int8).values[0].tolerance, 0.5);
}

// The first token of the certificate is taken for another: one that is nearly as probable, or is not.
TEST_F(VerifyTest, ARoundedPrecisionMayPartWhereTheCertifiedTokenIsNearlyAsProbable) {
  const auto along = [&](TokenId first) { return CaseOf(bundle_, {7, 40, 12, 2}, {first, 44, 2}); };
  const TokenId best = good_["cases"][0]["target_ids"][0];
  const double of_best = good_["cases"][0]["log_probabilities"][0];
  TokenId near = best, far = best;
  for (TokenId other = 3; other < kPieces && (near == best || far == best); ++other) {
    if (other == best) continue;
    const double behind = of_best - along(other)["log_probabilities"][0].get<double>();
    if (behind < 0.4) near = other;
    if (behind > 1) far = other;
  }
  ASSERT_NE(near, best);
  ASSERT_NE(far, best);
  Json parted = good_;
  parted["cases"][0] = along(near);
  EXPECT_FALSE(Checked(parted).ok()) << "float32 has the certificate's margins alone";
  const VerifyReport report = Checked(parted, Precision::kInt8);
  EXPECT_TRUE(report.ok()) << ReportText(report);
  EXPECT_GE(report.ties, 1);
  EXPECT_THAT(ReportText(report), HasSubstr("tolerances of int8, whose weights are rounded; a case may part from its "
                                            "tokens where the one it has is within 0.5 of the best here\n"));
  parted["cases"][0] = along(far);
  parted["cases"][0]["margins"] = {0, 0, 0};
  EXPECT_THAT(Checked(parted, Precision::kInt8).faults, ElementsAre(HasSubstr("cases[0].target_ids[0] is ")))
      << "what counts is this machine's";
}

TEST_F(VerifyTest, AnEndElsewhereIsAFault) {
  std::vector<TokenId> longer = good_["cases"][0]["target_ids"];
  const std::string count = std::to_string(longer.size());
  std::vector<TokenId> shorter = longer;
  shorter.pop_back();
  Json wrong = good_;
  wrong["cases"][0] = CaseOf(bundle_, {7, 40, 12, 2}, shorter);
  EXPECT_THAT(Checked(wrong).faults, ElementsAre(HasSubstr("ids, decoding here goes on with")));
  longer.push_back(5);
  wrong["cases"][0] = CaseOf(bundle_, {7, 40, 12, 2}, longer);
  EXPECT_THAT(Checked(wrong).faults, ElementsAre(HasSubstr("ids, decoding here ends after " + count)));
  wrong = good_;
  const bool eos = wrong["cases"][0]["finish"] == "eos";
  wrong["cases"][0]["finish"] = eos ? "length" : "eos";
  EXPECT_THAT(Checked(wrong).faults, ElementsAre(HasSubstr(eos ? "here it is eos" : "here it is length")));
}

TEST_F(VerifyTest, TextThatIsTokenisedOrWrittenOtherwiseIsAFault) {
  const auto tokenizer = Tokenizer::Make(bundle_.spec.source(), bundle_.files);
  ASSERT_TRUE(tokenizer.ok());
  std::vector<TokenId> ids = (*tokenizer)->Encode("이 함수는").ids;
  ids.push_back(2);
  Json with_text = good_;
  Json& example = with_text["cases"][0];
  example = CaseOf(bundle_, ids);
  example["text"] = "이 함수는";
  example["output"] = (*tokenizer)->Decode(example["target_ids"].get<std::vector<TokenId>>()).text;
  EXPECT_TRUE(Checked(with_text).ok());
  example["text"] = "그 함수는";
  EXPECT_THAT(Checked(with_text).faults, ElementsAre(HasSubstr("cases[0].source_ids: tokenising the text here gives")));
  example["text"] = "이 함수는";
  example["output"] = "nothing";
  EXPECT_THAT(Checked(with_text).faults, ElementsAre(HasSubstr("cases[0].output is \"nothing\", detokenising here")));
}

TEST_F(VerifyTest, WhatDoesNotFitTheModelIsRefused) {
  Json wrong = good_;
  wrong["cases"][0]["source_ids"][1] = kPieces;
  EXPECT_EQ(Refusal(wrong), "parity.json: cases[0].source_ids[1] is 380, expected 0 to 379");
  wrong = good_;
  wrong["cases"][1]["target_ids"][0] = kPieces;
  EXPECT_EQ(Refusal(wrong), "parity.json: cases[1].target_ids[0] is 380, expected 0 to 379");
  wrong = good_;
  wrong["cases"][0]["attentions"][0]["attend"] = "d";
  EXPECT_EQ(Refusal(wrong), "parity.json: cases[0].attentions[0].attend is \"d\", expected an attend of the model: c");
  wrong = good_;
  wrong["cases"][0]["attentions"][1]["head"] = 2;
  EXPECT_EQ(Refusal(wrong), "parity.json: cases[0].attentions[1].head is 2, expected 0 to 1");
  wrong = good_;
  wrong["cases"][0]["copy_gates"] = std::vector<int>(wrong["cases"][0]["target_ids"].size());
  EXPECT_EQ(Refusal(wrong), "parity.json: cases[0].copy_gates is given, and the model does not copy");
  wrong = good_;
  wrong["search"]["beam_size"] = 0;
  EXPECT_EQ(Refusal(wrong), "parity.json: search.beam_size is 0, expected 1 to 1024");
  wrong = good_;
  EXPECT_EQ(Verify(bundle_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(VerifyTest, ABundleWithoutACertificateIsLoadedAllTheSame) {
  Bundle unproved = bundle_;
  unproved.files.erase("parity.json");
  EXPECT_EQ(Verify(unproved).status().code(), absl::StatusCode::kNotFound);
  unproved.spec.mutable_step()->mutable_ops(0)->mutable_embed()->set_table("nothing");
  const absl::Status faulty = Verify(unproved).status();
  EXPECT_EQ(faulty.code(), absl::StatusCode::kInvalidArgument) << faulty;
}

// Contexts too, and what a model that copies adds: gates, ids beyond the vocabulary, words written as they stand.
TEST(VerifyCopying, GatesAndCopiedWordsAreCompared) {
  BundleBuilder builder = PointerGenerator({.source_vocabulary = 8, .target_vocabulary = 7}, 3);
  for (float& x : builder.tensors().at("gate.bias").data) x = -3;  // mostly copies
  for (model::v1::Vocabulary* side : {builder.spec().mutable_source(), builder.spec().mutable_target()}) {
    side->mutable_words();
    side->set_pieces(side->size() == 8 ? "source.json" : "target.json");
  }
  Bundle bundle = builder.Build();
  bundle.files = {{"source.json", R"(["<unk>", "<s>", "</s>", "a", "b", "c", "d", "e"])"},
                  {"target.json", R"(["<unk>", "<s>", "</s>", "e", "d", "c", "b"])"}};
  // b XX a YY XX e </s>: the target has b, e and </s>.
  const std::vector<TokenId> source = {4, 0, 3, 0, 0, 7, 2}, copies = {6, 7, 8, 9, 7, 3, 2};
  Json good = {{"format_version", 1},
               {"reference", "the engine itself"},
               {"search", {{"max_length_a", 2}, {"max_length_b", 20}}},
               {"tolerance", Json::object()},
               {"cases", {CaseOf(bundle, source, {}, copies)}}};
  Json& example = good["cases"][0];
  // From here on the words are given, to know what they are written as: XX b YY </s>.
  example = CaseOf(bundle, source, {7, 6, 9, 2}, copies);
  example["margins"] = {0, 0, 0, 0};
  example["text"] = "b XX  a YY XX e";
  example["output"] = "XX b YY";
  auto report = VerifyBy(bundle, good);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->ok()) << ReportText(*report);
  Json without_ids = good;
  without_ids["cases"][0].erase("copy_ids");
  report = VerifyBy(bundle, without_ids);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->ok()) << "the text gives the same ids: " << ReportText(*report);

  Json wrong = good;
  const double gate = wrong["cases"][0]["copy_gates"][2];
  wrong["cases"][0]["copy_gates"][2] = gate - 0.001;
  report = VerifyBy(bundle, wrong);
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(Beyond(*report), ElementsAre("copy_gate at cases[0] step 2"));
  wrong = good;
  wrong["cases"][0]["output"] = "XX b XX";
  report = VerifyBy(bundle, wrong);
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->faults, ElementsAre(HasSubstr("cases[0].output is \"XX b XX\", detokenising here gives")));
  wrong = good;
  wrong["cases"][0]["copy_ids"][1] = 8;
  EXPECT_THAT(std::string(VerifyBy(bundle, wrong).status().message()),
              HasSubstr("parity.json: cases[0].copy_ids[1] is 8, expected at most 7"));
  wrong = without_ids;
  wrong["cases"][0].erase("text");
  EXPECT_THAT(std::string(VerifyBy(bundle, wrong).status().message()), HasSubstr("cases[0].copy_ids is missing"));
}

TEST_F(VerifyTest, TheReportsSayTheSameToPeopleAndPrograms) {
  Json wrong = good_;
  const double x = wrong["cases"][1]["log_probabilities"][0];
  wrong["cases"][1]["log_probabilities"][0] = x - 1;
  wrong["cases"][2]["finish"] = good_["cases"][2]["finish"] == "eos" ? "length" : "eos";
  const VerifyReport report = Checked(wrong);
  const std::string text = ReportText(report);
  EXPECT_THAT(text, HasSubstr("test-model 1: 3 cases by \"the engine itself\""));
  EXPECT_THAT(text, HasSubstr("cases[1] step 0  BEYOND"));
  EXPECT_THAT(text, HasSubstr("cases[2].finish is"));
  EXPECT_THAT(text,
              HasSubstr("failed: 2 of 3 cases gave the same tokens, 0 parted at a tie; 1 of 4 values are beyond"));
  const Json json = Json::parse(ReportJson(report));
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["cases"], 3);
  EXPECT_EQ(json["same"], 2);
  EXPECT_EQ(json["precision"], "float32");
  EXPECT_EQ(json["margin"], 1e-3);
  EXPECT_EQ(Json::parse(ReportJson(Checked(good_, Precision::kInt8)))["precision"], "int8");
  EXPECT_EQ(json["where"]["log_probability"], "cases[1] step 0");
  EXPECT_NEAR(json["values"]["log_probability"].get<double>(), 1 / std::max(1.0, std::abs(x - 1)), 1e-6);
  EXPECT_EQ(json["faults"].size(), 1U);
  EXPECT_THAT(ReportText(Checked(good_)), HasSubstr("\npassed: 3 of 3 cases"));
}

}  // namespace
}  // namespace heed
