// What the engine tells of jobs before they end, and what it gives of jobs that are ended early.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "tests/support/attention_models.h"
#include "tests/support/make_plan.h"

namespace heed {
namespace {

constexpr TokenId kEos = 2;

constexpr EngineOptions kOptions = {.max_rows = 11, .encode_time_per_step = absl::Microseconds(10)};

std::vector<DecodeJob> RandomJobs(std::mt19937& random, const Plan& plan, int count) {
  std::vector<DecodeJob> jobs(count);
  for (DecodeJob& job : jobs) {
    job.source.resize(1 + random() % 33);
    for (TokenId& id : job.source) id = 3 + random() % 16;
    job.source.back() = kEos;
    if (plan.copies()) job.copy_ids.assign(job.source.size(), 19);
    job.capture.weights = job.capture.contexts = true;
    for (std::size_t i = 0; i < plan.attends().size(); ++i) job.capture.attends.push_back(static_cast<int>(i));
    job.sources = random() % 2 == 0;
    job.search.beam_size = random() % 2 == 0 ? 1 : 1 + random() % 5;
    job.search.n_best = 1 + random() % job.search.beam_size;
    job.search.max_length = 1 + random() % 23;
    job.search.beam_policy = static_cast<BeamPolicy>(random() % 6);
    job.search.length_normalization = LengthNormalization::kPower;
    if (random() % 5 == 0) job.forced.assign(1 + random() % 9, 7);
    job.progress = random() % 4 != 0;
  }
  return jobs;
}

bool OfOneRow(const DecodeJob& job) { return !job.forced.empty() || job.search.beam_size == 1; }

// Adds what is fresh to what was told.
void Append(const DecodedHypothesis& fresh, const DecodeJob& job, DecodedHypothesis* told) {
  const auto append = [](const auto& from, auto* to) { to->insert(to->end(), from.begin(), from.end()); };
  ASSERT_EQ(fresh.log_probabilities.size(), fresh.tokens.size());
  append(fresh.tokens, &told->tokens);
  append(fresh.log_probabilities, &told->log_probabilities);
  append(fresh.sources, &told->sources);
  append(fresh.copies, &told->copies);
  ASSERT_EQ(fresh.attentions.empty(), !OfOneRow(job) || !job.capture.any());
  if (told->attentions.empty()) {
    told->attentions = fresh.attentions;
    return;
  }
  for (std::size_t i = 0; i < fresh.attentions.size(); ++i) {
    ASSERT_EQ(fresh.attentions[i].rows, static_cast<int>(fresh.tokens.size()));
    append(fresh.attentions[i].values, &told->attentions[i].values);
  }
}

// `told` is what the first tokens of `whole` have; all of them where `all`.
void ExpectBeginning(const DecodedHypothesis& told, const DecodedHypothesis& whole, const DecodeJob& job, bool all) {
  const std::size_t n = told.tokens.size();
  ASSERT_LE(n, whole.tokens.size());
  if (all) {
    ASSERT_EQ(n, whole.tokens.size());
  }
  const auto begins = [](const auto& part, const auto& of) {
    return part.size() <= of.size() && std::equal(part.begin(), part.end(), of.begin());
  };
  EXPECT_TRUE(begins(told.tokens, whole.tokens));
  EXPECT_TRUE(begins(told.log_probabilities, whole.log_probabilities));
  if (!OfOneRow(job) || n == 0) return;
  EXPECT_TRUE(begins(told.sources, whole.sources));
  EXPECT_EQ(told.sources.size(), whole.sources.empty() ? 0 : n);
  ASSERT_EQ(told.copies.size(), whole.copies.empty() ? 0 : n);
  for (std::size_t t = 0; t < told.copies.size(); ++t) {
    EXPECT_EQ(told.copies[t].gate, whole.copies[t].gate);
    EXPECT_EQ(told.copies[t].share, whole.copies[t].share);
    EXPECT_EQ(told.copies[t].source, whole.copies[t].source);
  }
  ASSERT_EQ(told.attentions.size(), whole.attentions.size());
  for (std::size_t i = 0; i < told.attentions.size(); ++i) {
    const AttentionMatrix &part = told.attentions[i], &of = whole.attentions[i];
    EXPECT_EQ(part.attend, of.attend);
    EXPECT_EQ(part.head, of.head);
    EXPECT_EQ(part.component, of.component);
    EXPECT_EQ(part.columns, of.columns);
    EXPECT_EQ(part.values.size(), n * of.columns);
    EXPECT_TRUE(begins(part.values, of.values));
  }
}

class EveryKind : public testing::TestWithParam<int> {
 protected:
  static std::shared_ptr<const Plan> MakeIt() {
    switch (GetParam()) {
      case 0:
        return MakePlan(LuongLstm({}, 3), kOptions);
      case 1:
        return MakePlan(PointerGenerator({}, 3), kOptions);
      case 2:
        return MakePlan(Student({}, 3), kOptions);
      default:
        return MakePlan(NoAttention({}, 3), kOptions);
    }
  }
};

// Jobs come and go; some are taken from at once, some late, some never; a few are finished early.
TEST_P(EveryKind, TellsTheBeginningOfWhatTheJobGivesInTheEnd) {
  const auto plan = MakeIt();
  const auto engine = plan->MakeEngine().value();
  std::mt19937 random(21);
  const std::vector<DecodeJob> jobs = RandomJobs(random, *plan, 250);
  std::map<JobId, DecodedHypothesis> live;  // told
  std::size_t next = 0;
  int early = 0, stopped = 0, ended = 0, without = 0;
  StepReport report;
  while (next < jobs.size() || engine->live_jobs() > 0) {
    for (; next < jobs.size() && engine->free_rows() >= jobs[next].search.beam_size; ++next) {
      engine->Admit(static_cast<JobId>(next), &jobs[next]);
      live[static_cast<JobId>(next)] = {};
    }
    report.Clear();
    engine->Step(&report);
    for (const JobId id : report.progressed) {
      ASSERT_TRUE(jobs[id].progress);
      EXPECT_THAT(report.finished, testing::Not(testing::Contains(id)));
      if (random() % 3 == 0) continue;
      const DecodedHypothesis fresh = engine->TakeProgress(id);
      EXPECT_FALSE(fresh.tokens.empty());
      Append(fresh, jobs[id], &live[id]);
      EXPECT_TRUE(engine->TakeProgress(id).tokens.empty());
      ++early;
    }
    for (const JobId id : report.finished) {
      DecodedHypothesis told = live[id];
      const std::size_t before = told.tokens.size();
      const DecodedHypothesis rest = engine->TakeProgress(id);
      if (jobs[id].progress) Append(rest, jobs[id], &told);
      const DecodeResult result = engine->Take(id);
      EXPECT_NE(result.hypotheses.at(0).finish, FinishReason::kStopped);
      ExpectBeginning(told, result.hypotheses[0], jobs[id], jobs[id].progress);
      EXPECT_EQ(rest.tokens.size() + before, result.hypotheses[0].tokens.size());
      live.erase(id);
      ++ended;
    }
    if (live.empty() || random() % 8 != 0) continue;
    const auto victim = std::next(live.begin(), static_cast<std::ptrdiff_t>(random() % live.size()));
    const DecodeJob& job = jobs[victim->first];
    const int free = engine->free_rows();
    const DecodeResult result = engine->Finish(victim->first);
    EXPECT_EQ(engine->free_rows(), free + (job.forced.empty() ? job.search.beam_size : 1));
    EXPECT_LE(result.hypotheses.size(), static_cast<std::size_t>(job.search.n_best));
    for (const DecodedHypothesis& hypothesis : result.hypotheses) {
      const bool eos = hypothesis.tokens.back() == kEos;
      EXPECT_EQ(hypothesis.finish, eos ? FinishReason::kEos : FinishReason::kStopped);
      EXPECT_EQ(hypothesis.attentions.empty(), plan->attends().empty());
    }
    if (result.hypotheses.empty()) {
      EXPECT_TRUE(victim->second.tokens.empty());
      ++without;
    } else {
      ExpectBeginning(victim->second, result.hypotheses[0], job, false);
      ++stopped;
    }
    live.erase(victim);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(engine->rows_in_use(), 0);
  EXPECT_GT(early, 100);
  EXPECT_GT(stopped, 2);
  EXPECT_GT(ended, 50);
  EXPECT_GT(without, 0);
}

INSTANTIATE_TEST_SUITE_P(Models, EveryKind, testing::Range(0, 4));

TEST(Progress, IsEveryTokenAsItComesOfAGreedyJobAndNothingOfAJobThatWantsNone) {
  const auto plan = MakePlan(LuongLstm({}, 4), kOptions);
  const auto engine = plan->MakeEngine().value();
  std::vector<DecodeJob> jobs(2);
  for (DecodeJob& job : jobs) {
    job.source = {5, 6, kEos};
    job.search.max_length = job.search.min_length = 9;
  }
  jobs[0].progress = true;
  engine->Admit(0, &jobs[0]);
  engine->Admit(1, &jobs[1]);
  StepReport report;
  for (int step = 1; step < 9; ++step) {
    report.Clear();
    engine->Step(&report);
    EXPECT_THAT(report.progressed, testing::ElementsAre(0));
    EXPECT_EQ(engine->TakeProgress(0).tokens.size(), 1u);
    EXPECT_EQ(engine->TakeProgress(1).tokens.size(), 0u);
  }
  report.Clear();
  engine->Step(&report);
  EXPECT_TRUE(report.progressed.empty());
  EXPECT_THAT(report.finished, testing::UnorderedElementsAre(0, 1));
  EXPECT_EQ(engine->TakeProgress(0).tokens.size(), 1u);
}

}  // namespace
}  // namespace heed
