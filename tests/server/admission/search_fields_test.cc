// What a job searches with: the model's settings where the request has none, the request's field by field.
#include "server/admission/search_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "heed/model/v1/model.pb.h"
#include "tests/server/models/fake_model.h"

namespace heed {
namespace {

using model::v1::SearchDefaults;

class SearchFields : public ::testing::Test {
 protected:
  SearchFields() : model_(FakeModel()) {}

  SearchDefaults* defaults() { return model_->spec.mutable_search(); }
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
  SearchDefaults& d = *defaults();
  d.Clear();
  d.set_beam_size(5);
  d.set_length_normalization(model::v1::LENGTH_NORMALIZATION_GNMT);
  d.set_length_alpha(0.9F);
  d.set_length_beta(0);
  d.set_length_every_step(true);
  d.set_length_offset(-1);
  d.set_late_end_scores(true);
  d.set_beam_policy(model::v1::BEAM_POLICY_KEEP);
  d.set_beam_stop(model::v1::BEAM_STOP_ALL_ENDED);
  d.set_unfinished(model::v1::UNFINISHED_POLICY_FILL);
  d.set_unknowns(model::v1::UNKNOWN_POLICY_BAN);
  d.set_unknown_penalty(0.25F);
  d.set_word_penalty(0.5F);
  d.set_coverage_penalty(model::v1::COVERAGE_PENALTY_SUMMARY);
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
  defaults()->set_length_normalization(model::v1::LENGTH_NORMALIZATION_POWER);
  defaults()->set_length_alpha(1);
  defaults()->set_length_offset(1);
  defaults()->set_beam_size(2);
  defaults()->set_replace_unknowns(true);
  defaults()->set_unknowns(model::v1::UNKNOWN_POLICY_BAN);
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

// The API's enums are the schema's, by number: what a request says is what a bundle would say.
TEST(SearchEnums, OfTheApiAndOfTheSchemaAreTheSame) {
  const auto same = [](const google::protobuf::EnumDescriptor* api, const google::protobuf::EnumDescriptor* schema) {
    ASSERT_EQ(api->value_count(), schema->value_count()) << api->name();
    for (int i = 0; i < api->value_count(); ++i) {
      EXPECT_EQ(api->value(i)->name(), schema->value(i)->name());
      EXPECT_EQ(api->value(i)->number(), schema->value(i)->number());
    }
  };
  same(v1::BeamPolicy_descriptor(), model::v1::BeamPolicy_descriptor());
  same(v1::BeamStop_descriptor(), model::v1::BeamStop_descriptor());
  same(v1::UnfinishedPolicy_descriptor(), model::v1::UnfinishedPolicy_descriptor());
  same(v1::UnknownPolicy_descriptor(), model::v1::UnknownPolicy_descriptor());
  same(v1::CoveragePenalty_descriptor(), model::v1::CoveragePenalty_descriptor());
}

}  // namespace
}  // namespace heed
