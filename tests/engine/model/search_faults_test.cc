// model.json's `search`: everything in bounds passes, each fault gets one line of its own.
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include "engine/model/check_search.h"
#include "tests/support/test_models.h"

namespace heed {
namespace {

using v1::SearchOptions;

struct Fault {
  std::function<void(SearchOptions*)> change;
  const char* message;  // after "model.json: search."
};

absl::Status Check(BundleBuilder builder, const std::function<void(SearchOptions*)>& change) {
  change(builder.spec().mutable_search());
  return CheckSearch(builder.spec());
}

TEST(CheckSearch, PassesNothingAndEveryField) {
  EXPECT_TRUE(Check(NoAttention(), [](SearchOptions*) {}).ok());
  const absl::Status status = Check(LuongLstm(), [](SearchOptions* s) {
    s->set_beam_size(1024);
    s->mutable_gnmt()->set_alpha(10);
    s->mutable_gnmt()->set_beta(100);
    s->set_length_offset(-1);
    s->set_max_length_a(100);
    s->set_max_length_b(100000);
    s->set_max_length_cap(1);
    s->set_min_length_a(0.5F);
    s->set_min_length_b(1);
    s->set_beam_policy(v1::BEAM_POLICY_GO_ON);
    s->set_beam_stop(v1::BEAM_STOP_FINISHED_LEAD);
    s->set_unfinished(v1::UNFINISHED_POLICY_END);
    s->set_unknowns(v1::UNKNOWN_POLICY_BAN);
    s->set_unknown_penalty(-100);
    s->set_word_penalty(100);
    s->set_coverage_penalty(v1::COVERAGE_PENALTY_SUMMARY);
    s->set_coverage_beta(100);
    s->set_attend("c");
    s->set_replace_unknowns(true);
    s->set_no_repeat_ngram_size(16);
    s->set_repetition_penalty(10);
    s->add_banned_ids(0);
    s->add_banned_ids(1);
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(CheckSearch, RefusesEachFieldOutOfItsBounds) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Fault faults[] = {
      {[](auto* s) { s->set_beam_size(1025); }, "beam_size is 1025, expected 1 to 1024"},
      {[](auto* s) { s->set_beam_policy(static_cast<v1::BeamPolicy>(9)); },
       "beam_policy is 9, expected a known BeamPolicy"},
      {[](auto* s) { s->set_beam_stop(static_cast<v1::BeamStop>(9)); }, "beam_stop is 9, expected a known BeamStop"},
      {[](auto* s) { s->set_unfinished(static_cast<v1::UnfinishedPolicy>(9)); },
       "unfinished is 9, expected a known UnfinishedPolicy"},
      {[](auto* s) { s->set_unknowns(static_cast<v1::UnknownPolicy>(9)); },
       "unknowns is 9, expected a known UnknownPolicy"},
      {[](auto* s) { s->set_coverage_penalty(static_cast<v1::CoveragePenalty>(-1)); },
       "coverage_penalty is -1, expected a known CoveragePenalty"},
      {[](auto* s) { s->set_max_length_a(100.5F); }, "max_length_a is 100.5, expected 0 to 100"},
      {[](auto* s) { s->set_max_length_b(100001); }, "max_length_b is 100001, expected 0 to 100000"},
      {[](auto* s) { s->set_max_length_cap(0); }, "max_length_cap is 0, expected 1 to 100000"},
      {[&](auto* s) { s->set_min_length_a(nan); }, "min_length_a is nan, expected 0 to 100"},
      {[](auto* s) { s->set_min_length_b(-1); }, "min_length_b is -1, expected 0 to 100000"},
      {[](auto* s) { s->mutable_average()->set_alpha(-1); }, "average.alpha is -1, expected 0 to 10"},
      {[](auto* s) { s->mutable_gnmt()->set_beta(-1); }, "gnmt.beta is -1, expected 0 to 100"},
      {[](auto* s) {
         s->set_max_length(3);
         s->set_max_length_a(1);
       },
       "max_length is 3, expected unset where max_length_a or max_length_b is set"},
      {[](auto* s) { s->set_length_offset(2); }, "length_offset is 2, expected -1 to 1"},
      {[&](auto* s) { s->set_unknown_penalty(nan); }, "unknown_penalty is nan, expected -100 to 100"},
      {[](auto* s) { s->set_word_penalty(-101); }, "word_penalty is -101, expected -100 to 100"},
      {[](auto* s) { s->set_coverage_beta(-1); }, "coverage_beta is -1, expected 0 to 100"},
      {[](auto* s) { s->set_no_repeat_ngram_size(17); }, "no_repeat_ngram_size is 17, expected 0 to 16"},
      {[](auto* s) { s->set_repetition_penalty(0.5F); }, "repetition_penalty is 0.5, expected 1 to 10"},
      {[](auto* s) { s->add_banned_ids(19); }, "banned_ids[0] is 19, expected 0 to 18"},
      {[](auto* s) { s->add_banned_ids(-1); }, "banned_ids[0] is -1, expected at least 0"},
      {[](auto* s) { s->add_banned_ids(2); }, "banned_ids[0] is 2, the target's eos_id: no output could end"},
      {[](auto* s) {
         s->add_banned_ids(1);
         s->add_banned_ids(1);
       },
       "banned_ids[1] is 1, which is banned already"},
      {[](auto* s) {
         for (int i = 0; i < 1025; ++i) s->add_banned_ids(i);
       },
       "banned_ids is a list of 1025, expected a list of at most 1024"},
      {[](auto* s) { s->set_attend("d"); }, "attend is \"d\", expected an attend of the step program: c"},
  };
  for (const Fault& fault : faults) {
    EXPECT_EQ(Check(LuongLstm(), fault.change).message(), std::string("model.json: search.") + fault.message);
  }
}

TEST(CheckSearch, WantsAnAttendWhereSearchReadsOne) {
  const Fault faults[] = {
      {[](auto* s) { s->set_coverage_penalty(v1::COVERAGE_PENALTY_WU); },
       "coverage_penalty needs an attend in the step program, which has none"},
      {[](auto* s) { s->set_replace_unknowns(true); },
       "replace_unknowns needs an attend in the step program, which has none"},
      {[](auto* s) { s->set_attend("c"); }, "attend is \"c\", expected an attend of the step program: it has none"},
  };
  for (const Fault& fault : faults) {
    EXPECT_EQ(Check(NoAttention(), fault.change).message(), std::string("model.json: search.") + fault.message);
  }
}

}  // namespace
}  // namespace heed
