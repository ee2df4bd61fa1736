// What a job searches with: the model's settings where the request has none, the request's field by field.
#include "server/admission/search_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "engine/fields/field_rules.h"
#include "engine/model/check_search.h"
#include "heed/model/v1/model.pb.h"
#include "tests/server/models/fake_model.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class SearchFields : public ::testing::Test {
 protected:
  SearchFields() : model_(FakeModel()) {}

  v1::SearchOptions* defaults() { return model_->spec.mutable_search(); }
  ResolvedSearch MustResolve(const v1::SearchOptions& request = {}) {
    absl::StatusOr<ResolvedSearch> search = ResolveSearch(request, *model_, limits_);
    EXPECT_TRUE(search.ok()) << search.status();
    return search.ok() ? *std::move(search) : ResolvedSearch();
  }
  DecodeJob JobOf(int source_tokens, const v1::SearchOptions& request = {}) {
    DecodeJob job;
    job.source.assign(static_cast<std::size_t>(source_tokens), 3);
    MustResolve(request).Apply(&job);
    return job;
  }

  AdmissionLimits limits_;
  std::unique_ptr<ServedModel> model_;
};

TEST_F(SearchFields, AModelWithoutAnySearchesGreedily) {
  defaults()->Clear();
  const SearchOptions search = JobOf(4).search;
  EXPECT_EQ(search.beam_size, 1);
  EXPECT_EQ(search.n_best, 1);
  EXPECT_EQ(search.max_length, 2 * 4 + 20);
  EXPECT_EQ(search.min_length, 0);
  EXPECT_EQ(search.repetition_penalty, 1);
  EXPECT_EQ(search.length_normalization, LengthNormalization::kNone);
  EXPECT_EQ(search.beam_policy, BeamPolicy::kFairseq);
  EXPECT_EQ(search.beam_stop, BeamStop::kBeamFull);
  EXPECT_EQ(search.unfinished, UnfinishedPolicy::kCount);
  EXPECT_EQ(search.coverage_penalty, CoveragePenalty::kNone);
  EXPECT_TRUE(search.banned.empty());
}

TEST_F(SearchFields, AModelsOwnSettingsAllReachItsJobs) {
  v1::SearchOptions& d = *defaults();
  d.Clear();
  d.set_beam_size(5);
  d.mutable_gnmt()->set_alpha(0.9F);
  d.mutable_gnmt()->set_beta(0);
  d.set_length_every_step(true);
  d.set_length_offset(-1);
  d.set_late_end_scores(true);
  d.set_beam_policy(v1::BEAM_POLICY_KEEP);
  d.set_beam_stop(v1::BEAM_STOP_ALL_ENDED);
  d.set_unfinished(v1::UNFINISHED_POLICY_FILL);
  d.set_unknowns(v1::UNKNOWN_POLICY_BAN);
  d.set_unknown_penalty(0.25F);
  d.set_word_penalty(0.5F);
  d.set_coverage_penalty(v1::COVERAGE_PENALTY_SUMMARY);
  d.set_coverage_beta(2);
  d.set_coverage_every_step(true);
  d.set_attend("c");
  d.set_no_repeat_ngram_size(3);
  d.set_no_repeat_ngram_drops(true);
  d.set_repetition_penalty(1.25F);
  d.set_replace_unknowns(true);
  d.add_banned_ids(1);
  const DecodeJob job = JobOf(4);
  const SearchOptions& search = job.search;
  EXPECT_EQ(search.beam_size, 5);
  EXPECT_EQ(search.length_normalization, LengthNormalization::kGnmt);
  EXPECT_EQ(search.length_alpha, 0.9F);
  EXPECT_EQ(search.length_beta, 0);
  EXPECT_TRUE(search.length_every_step);
  EXPECT_EQ(search.length_offset, -1);
  EXPECT_TRUE(search.late_end_scores);
  EXPECT_EQ(search.beam_policy, BeamPolicy::kKeep);
  EXPECT_EQ(search.beam_stop, BeamStop::kAllEnded);
  EXPECT_EQ(search.unfinished, UnfinishedPolicy::kFill);
  EXPECT_THAT(search.banned, ::testing::UnorderedElementsAre(1, model_->spec.target().unk_id()));
  EXPECT_EQ(search.unknown, model_->spec.target().unk_id());
  EXPECT_EQ(search.unknown_penalty, 0.25F);
  EXPECT_EQ(search.word_penalty, 0.5F);
  EXPECT_EQ(search.coverage_penalty, CoveragePenalty::kSummary);
  EXPECT_EQ(search.coverage_beta, 2);
  EXPECT_TRUE(search.coverage_every_step);
  EXPECT_EQ(search.no_repeat_ngram_size, 3);
  EXPECT_TRUE(search.no_repeat_ngram_drops);
  EXPECT_EQ(search.repetition_penalty, 1.25F);
  EXPECT_EQ(job.attend, 0);
  EXPECT_TRUE(job.sources);
}

// A request that says all that a bundle can, and the same as a bundle's.
TEST_F(SearchFields, ARequestOverridesEachFieldAsIfTheBundleHadIt) {
  v1::SearchOptions request;
  request.set_beam_size(4);
  request.mutable_gnmt()->set_alpha(0.9F);
  request.mutable_gnmt()->set_beta(2);
  request.set_length_offset(1);
  request.set_length_every_step(true);
  request.set_late_end_scores(true);
  request.set_max_length_a(1.5F);
  request.set_max_length_b(7);
  request.set_min_length_a(0.5F);
  request.set_min_length_b(1);
  request.set_beam_policy(v1::BEAM_POLICY_GO_ON);
  request.set_beam_stop(v1::BEAM_STOP_FINISHED_LEAD);
  request.set_unfinished(v1::UNFINISHED_POLICY_END);
  request.set_unknowns(v1::UNKNOWN_POLICY_BAN);
  request.set_unknown_penalty(0.25F);
  request.set_word_penalty(0.5F);
  request.set_coverage_penalty(v1::COVERAGE_PENALTY_WU);
  request.set_coverage_beta(3);
  request.set_coverage_every_step(true);
  request.set_no_repeat_ngram_size(3);
  request.set_no_repeat_ngram_drops(true);
  request.set_repetition_penalty(1.25F);
  request.set_replace_unknowns(true);
  request.set_attend("c");
  const DecodeJob asked = JobOf(5, request);
  EXPECT_EQ(asked.search.max_length, 14);  // 1.5 * 5 + 7 rounded down
  EXPECT_EQ(asked.search.min_length, 3);
  EXPECT_EQ(asked.search.beam_policy, BeamPolicy::kGoOn);
  EXPECT_EQ(asked.search.beam_stop, BeamStop::kFinishedLead);
  EXPECT_EQ(asked.search.unfinished, UnfinishedPolicy::kEnd);
  EXPECT_EQ(asked.search.coverage_penalty, CoveragePenalty::kWu);
  EXPECT_EQ(asked.search.coverage_beta, 3);
  EXPECT_TRUE(asked.search.coverage_every_step);
  EXPECT_EQ(asked.search.length_normalization, LengthNormalization::kGnmt);
  EXPECT_EQ(asked.search.length_alpha, 0.9F);
  EXPECT_EQ(asked.search.length_beta, 2);
  EXPECT_EQ(asked.search.length_offset, 1);
  EXPECT_TRUE(asked.search.length_every_step);
  EXPECT_TRUE(asked.search.late_end_scores);
  EXPECT_EQ(asked.search.unknown_penalty, 0.25F);
  EXPECT_EQ(asked.search.word_penalty, 0.5F);
  EXPECT_THAT(asked.search.banned, ::testing::ElementsAre(model_->spec.target().unk_id()));
  EXPECT_EQ(asked.search.no_repeat_ngram_size, 3);
  EXPECT_TRUE(asked.search.no_repeat_ngram_drops);
  EXPECT_EQ(asked.search.repetition_penalty, 1.25F);
  EXPECT_TRUE(asked.sources);
  EXPECT_EQ(asked.attend, 0);
}

TEST_F(SearchFields, AFieldThatTheRequestLeavesOutStaysTheModels) {
  defaults()->Clear();
  defaults()->mutable_average();
  defaults()->set_length_offset(1);
  defaults()->set_beam_size(2);
  defaults()->set_replace_unknowns(true);
  defaults()->set_unknowns(v1::UNKNOWN_POLICY_BAN);
  v1::SearchOptions request;
  request.set_beam_stop(v1::BEAM_STOP_BEST_ENDS);
  request.set_replace_unknowns(false);
  request.set_unknowns(v1::UNKNOWN_POLICY_ALLOW);
  const DecodeJob job = JobOf(3, request);
  EXPECT_EQ(job.search.beam_stop, BeamStop::kBestEnds);
  EXPECT_EQ(job.search.length_normalization, LengthNormalization::kPower);
  EXPECT_EQ(job.search.length_offset, 1);
  EXPECT_EQ(job.search.beam_size, 2);
  EXPECT_FALSE(job.sources);
  EXPECT_TRUE(job.search.banned.empty());
  request.mutable_none();
  EXPECT_EQ(JobOf(3, request).search.length_normalization, LengthNormalization::kNone);
}

TEST_F(SearchFields, LengthsFollowTheSourceWithinTheCapAndTheServersBound) {
  defaults()->Clear();
  defaults()->set_max_length_a(1.25F);
  defaults()->set_max_length_b(5);
  defaults()->set_max_length_cap(12);
  defaults()->set_min_length_a(0.5F);
  EXPECT_EQ(JobOf(3).search.max_length, 8);
  EXPECT_EQ(JobOf(3).search.min_length, 1);
  EXPECT_EQ(JobOf(9).search.max_length, 12);
  limits_.max_target_tokens = 10;
  EXPECT_EQ(JobOf(9).search.max_length, 10);
  defaults()->set_min_length_b(35);  // a model may ask for more than the server gives
  EXPECT_EQ(JobOf(9).search.max_length, 10);
  EXPECT_EQ(JobOf(9).search.min_length, 10);
  v1::SearchOptions request;
  request.set_max_length(4);
  EXPECT_EQ(JobOf(9, request).search.max_length, 4);
  EXPECT_EQ(JobOf(9, request).search.min_length, 4);
}

// OpenNMT-py's max_length, beside its max_length_ratio.
TEST_F(SearchFields, ACapHoldsBesideTheModelsRuleAndAMaxLengthStandsInItsPlace) {
  defaults()->Clear();
  defaults()->set_max_length_a(1.5F);
  defaults()->set_max_length_b(5);
  defaults()->set_max_length_cap(250);
  v1::SearchOptions request;
  request.set_max_length_cap(12);
  EXPECT_EQ(JobOf(3, request).search.max_length, 9);
  EXPECT_EQ(JobOf(9, request).search.max_length, 12);
  EXPECT_EQ(JobOf(200).search.max_length, 250);
  request.Clear();
  request.set_max_length(300);
  EXPECT_EQ(JobOf(3, request).search.max_length, 300);
  request.set_max_length_cap(20);
  EXPECT_EQ(JobOf(3, request).search.max_length, 20);
  // Whoever says both in one request means both: no more than the cap, whatever has to come before the end.
  request.Clear();
  request.set_max_length_cap(4);
  request.set_min_length(9);
  EXPECT_EQ(JobOf(9, request).search.max_length, 4);
  EXPECT_EQ(JobOf(9, request).search.min_length, 4);
}

// As its WebAssembly build ends at these max-length-factors.
TEST_F(SearchFields, MariansFactorIsRoundedUpAfterAProductInFloat32) {
  defaults()->Clear();
  defaults()->set_max_length_b(0);
  defaults()->set_max_length_rounds_up(true);
  for (const auto& [factor, source, most] :
       {std::tuple(1.5F, 3, 5), std::tuple(1.5F, 2, 3), std::tuple(1.3F, 3, 4), std::tuple(2.0F, 7, 14),
        std::tuple(1.1F, 10, 11), std::tuple(1.1F, 11, 13)}) {
    defaults()->set_max_length_a(factor);
    EXPECT_EQ(JobOf(source).search.max_length, most) << factor << " " << source;
  }
  v1::SearchOptions request;
  request.set_max_length_rounds_up(false);
  EXPECT_EQ(JobOf(11, request).search.max_length, 12);
}

TEST_F(SearchFields, WhatAModelFixesGivesWayToARuleOfTheRequestAndIsCutToTheServersBounds) {
  defaults()->Clear();
  defaults()->set_beam_size(4);
  defaults()->set_n_best(3);
  defaults()->set_max_length(700);
  defaults()->set_min_length(600);
  EXPECT_EQ(JobOf(3).search.max_length, 512);
  EXPECT_EQ(JobOf(3).search.min_length, 512);
  EXPECT_EQ(JobOf(3).search.n_best, 3);
  v1::SearchOptions request;
  request.set_max_length_a(2);
  request.set_min_length_b(1);
  request.set_beam_size(2);
  EXPECT_EQ(JobOf(3, request).search.max_length, 26);
  EXPECT_EQ(JobOf(3, request).search.min_length, 1);
  EXPECT_EQ(JobOf(3, request).search.n_best, 2);  // the request never asked for 3
}

// Half of the model's normalisation and half of the request's is nobody's.
TEST_F(SearchFields, AMessageOfTheRequestTakesTheModelsPlaceAsAWhole) {
  defaults()->Clear();
  defaults()->mutable_gnmt()->set_alpha(0.9F);
  defaults()->mutable_gnmt()->set_beta(0);
  v1::SearchOptions request;
  request.mutable_gnmt();
  EXPECT_EQ(JobOf(3, request).search.length_alpha, 0.6F);
  EXPECT_EQ(JobOf(3, request).search.length_beta, 5);
}

TEST_F(SearchFields, AModelsOwnBeamIsCutToTheServersBound) {
  defaults()->set_beam_size(12);
  limits_.max_beam_size = 8;
  EXPECT_EQ(JobOf(3).search.beam_size, 8);
}

TEST_F(SearchFields, AttentionIsWantedOnlyOfModelsThatHaveIt) {
  FakeModelOptions options;
  options.attends.clear();
  model_ = FakeModel(options);
  for (const auto& change : std::vector<std::function<void(v1::SearchOptions*)>>{
           [](auto* s) { s->set_replace_unknowns(true); },
           [](auto* s) { s->set_coverage_penalty(v1::COVERAGE_PENALTY_WU); }, [](auto* s) { s->set_attend("c"); }}) {
    v1::SearchOptions request;
    change(&request);
    const absl::Status status = ResolveSearch(request, *model_, limits_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  }
}

// A field of the search, or one inside it.
struct Place {
  std::string path;                                // "search.gnmt.alpha"
  const google::protobuf::FieldDescriptor* outer;  // of the search
  const google::protobuf::FieldDescriptor* field;  // the same, or inside of it
};

std::vector<Place> AllFields() {
  std::vector<Place> places;
  const google::protobuf::Descriptor& search = *v1::SearchOptions::descriptor();
  for (int i = 0; i < search.field_count(); ++i) {
    const auto* const field = search.field(i);
    if (field->message_type() == nullptr) places.push_back({"search." + field->name(), field, field});
    for (int j = 0; field->message_type() != nullptr && j < field->message_type()->field_count(); ++j) {
      const auto* const inside = field->message_type()->field(j);
      places.push_back({"search." + field->name() + "." + inside->name(), field, inside});
    }
  }
  return places;
}

// A search in which that field alone is set, to this number.
v1::SearchOptions SearchWith(const Place& place, double number) {
  v1::SearchOptions search;
  google::protobuf::Message* message = &search;
  if (place.outer != place.field) message = search.GetReflection()->MutableMessage(&search, place.outer);
  const auto* const reflection = message->GetReflection();
  using google::protobuf::FieldDescriptor;
  if (place.field->is_repeated()) {
    reflection->AddInt32(message, place.field, static_cast<int>(number));
  } else if (place.field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    reflection->SetEnumValue(message, place.field, static_cast<int>(number));
  } else if (place.field->cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
    reflection->SetInt32(message, place.field, static_cast<int>(number));
  } else {
    reflection->SetFloat(message, place.field, static_cast<float>(number));
  }
  return search;
}

// "search.n_best is 0" of both, and the bound, unless it is the server's own: what a bundle and a request are told.
TEST_F(SearchFields, EachBoundIsSaidInTheSameWordsOfABundleAndOfARequest) {
  int tried = 0;
  for (const Place& place : AllFields()) {
    const v1::FieldRules& rules = RulesOf(*place.field);
    const bool is_enum = place.field->enum_type() != nullptr;
    std::vector<double> wrong;
    if (rules.has_minimum()) wrong.push_back(rules.minimum() - 1);
    if (rules.has_maximum()) wrong.push_back(rules.maximum() + 1);
    if (is_enum) wrong = {-1, 99};
    if (place.field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_FLOAT) {
      wrong.push_back(std::numeric_limits<double>::quiet_NaN());
      wrong.push_back(std::numeric_limits<double>::infinity());
    }
    for (const double number : wrong) {
      const v1::SearchOptions search = SearchWith(place, number);
      model::v1::ModelSpec spec = model_->spec;
      *spec.mutable_search() = search;
      const std::string file(CheckSearch(spec).message());
      const std::string reply(ResolveSearch(search, *model_, limits_).status().message());
      const std::string at = place.path + (place.field->is_repeated() ? "[0]" : "");
      EXPECT_THAT(file, StartsWith("model.json: " + at + " is ")) << place.path;
      if (rules.bundle_only()) {
        EXPECT_EQ(reply, place.path + " is set; it must be unset: it is the model's own");
        continue;
      }
      const std::string value = file.substr(file.find(" is "), file.find(", expected ") - file.find(" is "));
      const bool servers = !rules.server_flag().empty() || !rules.at_most().empty();
      if (servers) {
        EXPECT_THAT(reply, StartsWith(place.path + value + "; it must be ")) << place.path;
      } else {
        EXPECT_EQ(file, "model.json: " + place.path + value + ", expected " + BoundOf(*place.field));
        EXPECT_EQ(reply, place.path + value + "; it must be " + BoundOf(*place.field));
      }
      ++tried;
    }
  }
  EXPECT_GT(tried, 60);
}

// Nobody may add a field without saying what it is: flags, tables and checks are made of its rules.
TEST(SearchRules, EachFieldSaysWhatItIsAndWhatItMayHold) {
  using google::protobuf::FieldDescriptor;
  for (const Place& place : AllFields()) {
    const v1::FieldRules& rules = RulesOf(*place.field);
    EXPECT_FALSE(rules.help().empty()) << place.path;
    EXPECT_THAT(rules.help(), Not(HasSubstr("\n"))) << place.path;
    const auto type = place.field->cpp_type();
    if (type == FieldDescriptor::CPPTYPE_INT32 || type == FieldDescriptor::CPPTYPE_FLOAT) {
      EXPECT_TRUE(rules.has_minimum()) << place.path;
      EXPECT_TRUE(rules.has_maximum() || rules.bundle_only()) << place.path;
    }
    if (type == FieldDescriptor::CPPTYPE_ENUM) {
      EXPECT_NE(place.field->enum_type()->FindValueByName(rules.default_value()), nullptr) << place.path;
    }
    const auto* const message = place.field->containing_type();
    for (const std::string& name : rules.replaces()) EXPECT_NE(message->FindFieldByName(name), nullptr) << place.path;
    if (!rules.at_most().empty()) {
      EXPECT_NE(message->FindFieldByName(rules.at_most()), nullptr) << place.path;
    }
    if (rules.server_flag() == "max_beam_size") {
      EXPECT_EQ(rules.server_default(), AdmissionLimits().max_beam_size);
    }
    if (rules.server_flag() == "max_target_tokens") {
      EXPECT_EQ(rules.server_default(), AdmissionLimits().max_target_tokens);
    }
  }
}

// What clients sent before the message had a file of its own, byte by byte: every field that there was, in order.
TEST(SearchWire, BytesOfAnOlderClientAreReadAsTheyWere) {
  const std::string older(
      "\x08\x05\x10\x02\x18\x03\x20\x09\x2d\x00\x00\xc0\x3f\x30\x02\x4a\x0a\x0d\x00\x00\x00\x3f\x15\x00\x00"
      "\x00\x40\x50\x01\x58\x01\x60\x01\x6d\x00\x00\xc0\x3f\x70\x07\x7d\x00\x00\x00\x3f\x80\x01\x01\x88\x01"
      "\x04\x90\x01\x03\x98\x01\x02\xa0\x01\x02\xad\x01\x00\x00\x80\x3e\xb5\x01\x00\x00\x00\x3f\xb8\x01\x03"
      "\xc5\x01\x00\x00\x40\x40\xc8\x01\x01\xd0\x01\x01\xd8\x01\x01\xe2\x01\x01\x63",
      94);
  v1::SearchOptions search;
  ASSERT_TRUE(search.ParseFromString(older));
  EXPECT_EQ(search.ShortDebugString(),
            "beam_size: 5 n_best: 2 min_length: 3 max_length: 9 repetition_penalty: 1.5 no_repeat_ngram_size: 2 "
            "gnmt { alpha: 0.5 beta: 2 } length_offset: 1 length_every_step: true late_end_scores: true "
            "max_length_a: 1.5 max_length_b: 7 min_length_a: 0.5 min_length_b: 1 "
            "beam_policy: BEAM_POLICY_KEEP beam_stop: BEAM_STOP_ALL_ENDED unfinished: UNFINISHED_POLICY_FILL "
            "unknowns: UNKNOWN_POLICY_BAN unknown_penalty: 0.25 word_penalty: 0.5 "
            "coverage_penalty: COVERAGE_PENALTY_SUMMARY coverage_beta: 3 coverage_every_step: true "
            "no_repeat_ngram_drops: true replace_unknowns: true attend: \"c\"");
  std::string again;
  search.SerializeToString(&again);
  EXPECT_EQ(again, older);
}

}  // namespace
}  // namespace heed
