// The engine against the plain reference, and the promises that it makes: right lineage under beam search, rows that
// come and go at step boundaries. Batch independence has a test of its own (batch_test.cc).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <random>

#include "engine/model/checker.h"
#include "engine/run/plan.h"
#include "tests/engine/run/engine_fixture.h"
#include "tests/engine/run/reference_model.h"
#include "tests/support/ticking_clock.h"

namespace heed {
namespace {

class EveryProgram : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Programs, EveryProgram, testing::ValuesIn(AllKinds()),
                         [](const auto& info) { return info.param.name; });

// Where each token was copied from, against the reference.
void ExpectCopiesClose(const DecodedHypothesis& got, const std::vector<ReferenceModel::StepResult>& want,
                       const Model& model, const DecodeJob& job) {
  const auto* copy = std::get_if<CopyNode>(&model.program.step.nodes.back());
  ASSERT_EQ(got.copies.size(), copy == nullptr ? 0 : want.size());
  for (std::size_t t = 0; t < got.copies.size(); ++t) {
    const double gate = want[t].values[copy->gate.value][0][0];
    const double copies = copy->gate_generates ? 1 - gate : gate;
    EXPECT_NEAR(got.copies[t].gate, copies, 1e-5);
    const auto& weights = want[t].values[copy->attention.value][0];
    double mass = 0, most = 0;
    for (std::size_t j = 0; j < weights.size(); ++j) {
      if (job.copy_ids[j] != got.tokens[t]) continue;
      mass += weights[j];
      most = std::max(most, weights[j]);
    }
    const double p = std::exp(want[t].log_probabilities[got.tokens[t]]);
    EXPECT_NEAR(got.copies[t].share, copies * mass / p, 1e-4);
    const bool held = std::find(job.copy_ids.begin(), job.copy_ids.end(), got.tokens[t]) != job.copy_ids.end();
    ASSERT_EQ(got.copies[t].source >= 0, held);
    if (!held) continue;
    EXPECT_EQ(job.copy_ids[got.copies[t].source], got.tokens[t]);
    EXPECT_NEAR(weights[got.copies[t].source], most, 1e-5);
  }
}

// A hypothesis against the reference, within the tolerances that the project promises at f32.
void ExpectClose(const DecodedHypothesis& got, const std::vector<ReferenceModel::StepResult>& want, const Model& model,
                 const DecodeJob& job) {
  ASSERT_EQ(got.tokens.size(), want.size());
  for (std::size_t t = 0; t < want.size(); ++t) {
    EXPECT_NEAR(got.log_probabilities[t], want[t].log_probabilities[got.tokens[t]], 1e-4) << "step " << t;
  }
  const int positions = static_cast<int>(job.source.size());
  for (const AttentionMatrix& m : got.attentions) {
    ASSERT_EQ(m.rows, static_cast<int>(want.size()));
    const bool context = m.component == AttentionMatrix::Component::kContexts;
    ASSERT_EQ(m.columns, context ? model.plan->attends()[m.attend].context : positions);
    for (int t = 0; t < m.rows; ++t) {
      const ReferenceAttention& made = want[t].attentions[m.attend];
      const bool energies = m.component == AttentionMatrix::Component::kEnergies;
      const auto& all = context ? made.context : energies ? made.energies : made.weights;
      for (int j = 0; j < m.columns; ++j) {
        const double expected = all[m.head * m.columns + j];
        EXPECT_NEAR(m.values[t * m.columns + j], expected, (energies ? 1e-4 : 1e-5) * std::max(1.0, expected));
      }
    }
  }
  ASSERT_EQ(got.sources.size(), job.sources && !model.plan->attends().empty() ? want.size() : 0);
  for (std::size_t t = 0; t < got.sources.size(); ++t) {
    std::vector<double> mean(positions);
    const std::vector<double>& weights = want[t].attentions.back().weights;
    for (std::size_t i = 0; i < weights.size(); ++i) mean[i % positions] += weights[i];
    const int end = job.text_end > 0 ? job.text_end : positions;
    ASSERT_LT(got.sources[t], end);
    EXPECT_NEAR(mean[got.sources[t]], *std::max_element(mean.begin(), mean.begin() + end), 1e-4);
  }
  ExpectCopiesClose(got, want, model, job);
}

TEST_P(EveryProgram, DecodesGreedilyAsTheReferenceDoes) {
  for (const std::int64_t table_bytes : {std::int64_t{64} << 20, std::int64_t{0}}) {
    EngineOptions options;
    options.max_table_bytes = table_bytes;
    const auto model = Load(GetParam().make({}, 1), options);
    const auto engine = model->plan->MakeEngine().value();
    std::mt19937 random(5);
    std::vector<DecodeJob> jobs(40);
    for (DecodeJob& job : jobs) {
      job = RandomJob(random, *model);
      job.search.max_length = 1 + random() % 12;
    }
    const std::vector<DecodeResult> results = RunAll(*engine, jobs);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      const ReferenceModel reference(model->program, jobs[i]);
      ASSERT_EQ(results[i].hypotheses.size(), 1u);
      const DecodedHypothesis& got = results[i].hypotheses[0];
      EXPECT_EQ(got.tokens, reference.Greedy(kEos, jobs[i].search.max_length));
      EXPECT_EQ(got.finish, got.tokens.back() == kEos ? FinishReason::kEos : FinishReason::kLength);
      ExpectClose(got, reference.Force(got.tokens), *model, jobs[i]);
    }
  }
}

TEST_P(EveryProgram, ScoresAForcedTargetAsTheReferenceDoes) {
  const auto model = Load(GetParam().make({}, 2));
  const auto engine = model->plan->MakeEngine().value();
  std::mt19937 random(6);
  std::vector<DecodeJob> jobs(8);
  for (DecodeJob& job : jobs) {
    job = RandomJob(random, *model);
    job.forced = RandomSource(random, 19);
    // Copied ids, the job's own among them, and ids outside a shortlist.
    if (!job.copy_ids.empty()) job.forced.insert(job.forced.begin(), job.copy_ids.begin(), job.copy_ids.end());
  }
  const std::vector<DecodeResult> results = RunAll(*engine, jobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const ReferenceModel reference(model->program, jobs[i]);
    EXPECT_EQ(results[i].hypotheses.at(0).tokens, jobs[i].forced);
    ExpectClose(results[i].hypotheses[0], reference.Force(jobs[i].forced), *model, jobs[i]);
  }
}

TEST_P(EveryProgram, GivesEveryHypothesisTheAttentionOfForcedDecoding) {
  const auto model = Load(GetParam().make({}, 3));
  const auto engine = model->plan->MakeEngine().value();
  std::mt19937 random(7);
  for (int round = 0; round < 10; ++round) {
    std::vector<DecodeJob> jobs(1);
    jobs[0] = RandomJob(random, *model);
    jobs[0].search = {.beam_size = 5, .n_best = 5, .max_length = 9};
    jobs[0].search.length_normalization = LengthNormalization::kPower;
    const DecodeResult result = RunAll(*engine, jobs)[0];
    ASSERT_EQ(result.hypotheses.size(), 5u);
    for (std::size_t h = 0; h < result.hypotheses.size(); ++h) {
      const DecodedHypothesis& hypothesis = result.hypotheses[h];
      if (h > 0) {
        EXPECT_GE(result.hypotheses[h - 1].score, hypothesis.score);
      }
      std::vector<DecodeJob> forced(1, jobs[0]);
      forced[0].forced = hypothesis.tokens;
      forced[0].search = {};
      const DecodedHypothesis again = RunAll(*engine, forced)[0].hypotheses.at(0);
      EXPECT_EQ(again.log_probabilities, hypothesis.log_probabilities);
      EXPECT_NEAR(again.log_probability, hypothesis.log_probability, 1e-5);
      ASSERT_EQ(again.attentions.size(), hypothesis.attentions.size());
      for (std::size_t i = 0; i < again.attentions.size(); ++i) {
        EXPECT_EQ(again.attentions[i].values, hypothesis.attentions[i].values);
      }
      EXPECT_EQ(again.sources, hypothesis.sources);
      ASSERT_EQ(again.copies.size(), hypothesis.copies.size());
      for (std::size_t t = 0; t < again.copies.size(); ++t) {
        EXPECT_EQ(again.copies[t].share, hypothesis.copies[t].share);
      }
    }
  }
}

// The search is shown what each row attends to: its penalty is that of the matrix which the hypothesis comes with.
TEST(Engine, ShowsTheSearchTheAttentionThatTheJobNames) {
  const auto model = Load(CopyAttention(/*own=*/true));
  const auto engine = model->plan->MakeEngine().value();
  std::mt19937 random(10);
  for (const int attend : {0, 1, -1}) {
    DecodeJob job = RandomJob(random, *model);
    job.attend = attend;
    job.search = {.beam_size = 3, .n_best = 3, .max_length = 9};
    job.search.coverage_penalty = CoveragePenalty::kSummary;
    job.search.coverage_beta = 0.7f;
    const DecodeResult result = RunAll(*engine, {job})[0];
    for (const DecodedHypothesis& hypothesis : result.hypotheses) {
      double penalty = 0;
      for (const AttentionMatrix& m : hypothesis.attentions) {
        if (m.component != AttentionMatrix::Component::kWeights || m.attend != (attend == 0 ? 0 : 1)) continue;
        for (int j = 0; j < m.columns; ++j) {
          double covered = 0;
          for (int t = 0; t < m.rows; ++t) covered += m.values[t * m.columns + j];
          penalty += std::max(covered, 1.0) - 1;
        }
      }
      EXPECT_NEAR(hypothesis.score, hypothesis.log_probability - 0.7 * penalty, 1e-4);
    }
  }
}

// A token that only copying can give, one that it cannot, and a step that is sure never to copy.
TEST(Engine, GivesAProbabilityOfZeroAFiniteLogarithm) {
  BundleBuilder builder = PointerGenerator();
  for (float& w : builder.tensors()["gate.weight"].data) w = 0;
  builder.tensors()["gate.bias"].data[0] = 1000;
  const auto model = Load(builder);
  const auto engine = model->plan->MakeEngine().value();
  DecodeJob job;
  job.source = {5, 6, kEos};
  job.copy_ids = {19, 4, 20};
  job.forced = {19, 4, 20, kEos};
  const DecodedHypothesis got = RunAll(*engine, {job})[0].hypotheses.at(0);
  EXPECT_EQ(got.log_probabilities[0], -1e4f);
  EXPECT_GT(got.log_probabilities[1], -100);
  EXPECT_EQ(got.log_probabilities[2], -1e4f);
  EXPECT_EQ(got.copies[0].gate, 0);
  EXPECT_EQ(got.copies[0].share, 0);
  EXPECT_EQ(got.copies[0].source, 0);
}

TEST(Engine, BansWhatTheSearchBansUnderAShortlistToo) {
  const auto model = Load(Shortlisted());
  const auto engine = model->plan->MakeEngine().value();
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    DecodeJob job = RandomJob(random, *model);
    job.shortlist = {2, 7, 11, 12, 20};
    job.search.max_length = 6;
    job.search.min_length = 4;
    job.search.banned = {11};
    const DecodedHypothesis got = RunAll(*engine, {job})[0].hypotheses.at(0);
    EXPECT_GE(got.tokens.size(), 5u);
    for (const TokenId token : got.tokens) EXPECT_THAT(token, testing::AnyOf(2, 7, 12, 20));
  }
}

TEST(ValidCopyIds, WantsOneIdASourceTokenAndOwnIdsInOrderWithoutGaps) {
  EXPECT_TRUE(ValidCopyIds({19, 3, 20, 19, 21}, 5, 19));
  EXPECT_TRUE(ValidCopyIds({0, 18}, 2, 19));
  EXPECT_FALSE(ValidCopyIds({0, 18}, 3, 19));
  EXPECT_FALSE(ValidCopyIds({20, 19}, 2, 19));
  EXPECT_FALSE(ValidCopyIds({19, 21}, 2, 19));
  EXPECT_FALSE(ValidCopyIds({-1, 19}, 2, 19));
}

TEST(Engine, LeavesOthersAloneWhenAJobIsReleasedAtAnyPoint) {
  EngineOptions options;
  options.max_rows = 8;
  TickingClock clock;  // a piece or two a step
  options.clock = &clock;
  options.encode_time_per_step = absl::Microseconds(2);
  const auto model = Load(LuongLstm({}, 4), options);
  std::mt19937 random(9);
  std::vector<DecodeJob> jobs(30);
  for (DecodeJob& job : jobs) {
    job.source = RandomSource(random, 23);
    job.search.max_length = 10;
    job.search.beam_size = 1 + random() % 3;
    job.search.n_best = job.search.beam_size;
  }
  std::vector<DecodeResult> alone;
  const auto engine = model->plan->MakeEngine().value();
  for (const DecodeJob& job : jobs) alone.push_back(RunAll(*engine, {job})[0]);

  std::vector<bool> live(jobs.size()), dropped(jobs.size());
  std::map<JobId, DecodeResult> results;
  std::size_t next = 0;
  StepReport report;
  while (next < jobs.size() || engine->live_jobs() > 0) {
    while (next < jobs.size() && engine->free_rows() >= jobs[next].search.beam_size) {
      live[next] = true;
      engine->Admit(static_cast<JobId>(next), &jobs[next]);
      ++next;
    }
    const std::size_t victim = random() % jobs.size();
    if (live[victim] && random() % 3 == 0) {
      const int before = engine->free_rows();
      engine->Release(static_cast<JobId>(victim));
      EXPECT_EQ(engine->free_rows(), before + jobs[victim].search.beam_size);
      live[victim] = false;
      dropped[victim] = true;
    }
    report.Clear();
    engine->Step(&report);
    for (const JobId id : report.finished) {
      results[id] = engine->Take(id);
      live[id] = false;
    }
  }
  int kept = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    EXPECT_NE(dropped[i], results.contains(static_cast<JobId>(i)));
    if (dropped[i]) continue;
    ExpectSame(results[static_cast<JobId>(i)], alone[i]);
    ++kept;
  }
  EXPECT_GT(kept, 0);
  EXPECT_LT(kept, 30);
  EXPECT_EQ(engine->rows_in_use(), 0);
  EXPECT_EQ(engine->free_rows(), 12);  // 8, and half as many again encoded ahead
}

TEST(Engine, SpreadsEncodingOverStepsWhileOthersDecode) {
  EngineOptions options;
  TickingClock clock;
  options.clock = &clock;
  options.encode_time_per_step = absl::Nanoseconds(1);  // a piece a step
  const auto model = Load(LuongLstm({}, 4), options);
  const auto engine = model->plan->MakeEngine().value();
  DecodeJob first, second;
  first.source = {5, 6, kEos};
  first.forced.assign(500, 7);
  second.source.assign(100, 9);
  second.search.max_length = 3;
  engine->Admit(1, &first);
  StepReport report;
  engine->Step(&report);
  EXPECT_THAT(report.first_token, testing::ElementsAre(1));
  engine->Admit(2, &second);
  int steps = 0;
  while (report.finished.empty()) {
    report.Clear();
    engine->Step(&report);
    ++steps;
    EXPECT_GE(report.rows, 1) << "a step without the live row";
    EXPECT_LE(report.encoded_positions, 64);
  }
  EXPECT_THAT(report.finished, testing::ElementsAre(2));
  // Four recurrences, a position at a time.
  EXPECT_GT(steps, 4 * 100);
}

// Self-attention over a long source is work in pieces too.
TEST(Engine, SpreadsSelfAttentionOverStepsWhileOthersDecode) {
  EngineOptions options;
  TickingClock clock;
  options.clock = &clock;
  options.encode_time_per_step = absl::Nanoseconds(1);  // a piece a step
  const auto model = Load(Student({.embedding = 64}, 4), options);
  const auto engine = model->plan->MakeEngine().value();
  DecodeJob first, second;
  first.source = {5, 6, kEos};
  first.forced.assign(500, 7);
  for (int i = 0; i < 500; ++i) second.source.push_back(3 + i % 20);
  second.search.max_length = 3;
  second.capture = Everything(*model->plan);
  const DecodeResult alone = RunAll(*engine, {second})[0];
  engine->Admit(1, &first);
  StepReport report;
  engine->Step(&report);
  EXPECT_THAT(report.first_token, testing::ElementsAre(1));
  engine->Admit(2, &second);
  int steps = 0;
  while (report.finished.empty()) {
    report.Clear();
    engine->Step(&report);
    ++steps;
    EXPECT_GE(report.rows, 1) << "a step without the live row";
    // 64 queries over 500 keys of size 64, and their projection.
    EXPECT_LE(report.encoded_positions, 500 + 64);
  }
  EXPECT_THAT(report.finished, testing::ElementsAre(2));
  // Per layer at least 8 pieces each of projections and attention.
  EXPECT_GT(steps, 32);
  ExpectSame(engine->Take(2), alone);
  const ReferenceModel reference(model->program, second);
  ExpectClose(alone.hypotheses[0], reference.Force(alone.hypotheses[0].tokens), *model, second);
}

TEST(Engine, KnowsPositionsBeyondThoseThatItTabulates) {
  EngineOptions options;
  options.max_source_tokens = options.max_target_tokens = 20;
  const auto model = Load(Student({}, 5), options);
  const auto engine = model->plan->MakeEngine().value();
  DecodeJob job;
  job.source = {5, 6, kEos};
  job.forced.assign(50, 7);
  const DecodeResult result = RunAll(*engine, {job})[0];
  ExpectClose(result.hypotheses[0], ReferenceModel(model->program, job).Force(job.forced), *model, job);
}

TEST(Engine, KeepsATabulatedEmbeddingThatACellStartsFrom) {
  BundleBuilder b = NoAttention({.embedding = 8, .decoder_hidden = 8}, 6);
  b.spec().mutable_step()->mutable_ops(1)->mutable_cell()->set_state("e");
  b.spec().mutable_step()->mutable_ops(2)->mutable_output()->mutable_inputs()->RemoveLast();
  b.spec().mutable_init()->clear_ops();
  b.spec().mutable_init()->clear_initials();
  b.tensors().erase("bridge.weight");
  b.tensors().erase("bridge.bias");
  b.AddTensor("output.weight", {19, 8});
  const auto model = Load(b);
  const auto engine = model->plan->MakeEngine().value();
  DecodeJob job;
  job.source = {5, 6, kEos};
  job.forced = {7, 8, 9};
  const DecodeResult result = RunAll(*engine, {job})[0];
  ExpectClose(result.hypotheses[0], ReferenceModel(model->program, job).Force(job.forced), *model, job);
}

}  // namespace
}  // namespace heed
