// The engine against the plain reference, and the promises that it makes: batch independence, right lineage under beam
// search, rows that come and go at step boundaries.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <random>

#include "engine/model/checker.h"
#include "engine/run/plan.h"
#include "tests/engine/run/reference_model.h"
#include "tests/support/test_models.h"

namespace heed {
namespace {

constexpr TokenId kEos = 2;

struct Model {
  Bundle bundle;
  CheckedProgram program;
  std::shared_ptr<const Plan> plan;
};

std::unique_ptr<Model> Load(BundleBuilder builder, const EngineOptions& options = {}) {
  auto model = std::make_unique<Model>();
  model->bundle = builder.Build();
  auto program = CheckProgram(model->bundle);
  EXPECT_TRUE(program.ok()) << program.status();
  model->program = *std::move(program);
  auto plan = Plan::Make(model->bundle, model->program, options);
  EXPECT_TRUE(plan.ok()) << plan.status();
  model->plan = *std::move(plan);
  return model;
}

std::vector<TokenId> RandomSource(std::mt19937& random, int vocabulary, int longest = 17) {
  std::vector<TokenId> source(1 + random() % longest);
  for (TokenId& id : source) id = 3 + random() % (vocabulary - 3);
  source.back() = kEos;
  return source;
}

// Runs all jobs, admitting each as soon as rows are free; result i belongs to job i.
std::vector<DecodeResult> RunAll(StepEngine& engine, const std::vector<DecodeJob>& jobs) {
  std::vector<DecodeResult> results(jobs.size());
  std::size_t next = 0, done = 0;
  StepReport report;
  while (done < jobs.size()) {
    while (next < jobs.size() && engine.free_rows() >= std::max(1, jobs[next].search.beam_size)) {
      engine.Admit(static_cast<JobId>(next), &jobs[next]);
      ++next;
    }
    report.Clear();
    engine.Step(&report);
    for (const JobId id : report.finished) {
      results[id] = engine.Take(id);
      ++done;
    }
  }
  EXPECT_EQ(engine.live_jobs(), 0);
  return results;
}

Capture Everything(const Plan& plan) {
  Capture capture{true, true, {}};
  for (std::size_t i = 0; i < plan.attends().size(); ++i) capture.attends.push_back(static_cast<int>(i));
  return capture;
}

void ExpectSame(const DecodeResult& a, const DecodeResult& b) {
  ASSERT_EQ(a.hypotheses.size(), b.hypotheses.size());
  for (std::size_t h = 0; h < a.hypotheses.size(); ++h) {
    const DecodedHypothesis &x = a.hypotheses[h], &y = b.hypotheses[h];
    EXPECT_EQ(x.tokens, y.tokens);
    EXPECT_EQ(x.log_probabilities, y.log_probabilities);  // to the bit
    EXPECT_EQ(x.score, y.score);
    ASSERT_EQ(x.attentions.size(), y.attentions.size());
    for (std::size_t i = 0; i < x.attentions.size(); ++i) EXPECT_EQ(x.attentions[i].values, y.attentions[i].values);
  }
}

struct Kind {
  std::string name;
  std::function<BundleBuilder(const TestSizes&, std::uint32_t)> make;
};
std::ostream& operator<<(std::ostream& out, const Kind& kind) { return out << kind.name; }

class EveryProgram : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Programs, EveryProgram,
                         testing::Values(Kind{"LuongLstm", LuongLstm}, Kind{"BahdanauGru", BahdanauGru},
                                         Kind{"NoAttention", NoAttention}, Kind{"Marian", Marian},
                                         Kind{"Variety", Variety}, Kind{"Student", Student}),
                         [](const auto& info) { return info.param.name; });

Kind CellKind(const std::string& name, const TestCell& cell) {
  return {name, [cell](const TestSizes& z, std::uint32_t seed) { return CellModel(cell, z, seed); }};
}
INSTANTIATE_TEST_SUITE_P(
    Cells, EveryProgram,
    testing::Values(
        CellKind("Ssru", {.kind = "SSRU"}),
        CellKind("SsruTanhHardNormed", {.kind = "SSRU", .gate = "HARD_SIGMOID", .function = "TANH", .norm = "BLOCKS"}),
        CellKind("LstmHardRelu", {.kind = "LSTM", .gate = "HARD_SIGMOID", .function = "RELU"}),
        CellKind("LstmNormedApart", {.kind = "LSTM", .norm = "BLOCKS", .norm_cell = true}),
        CellKind("LstmNormedSum", {.kind = "LSTM", .norm = "ALL", .norm_sum = true, .norm_bias = false}),
        CellKind("LstmNormedSumAndCell", {.kind = "LSTM", .norm = "BLOCKS", .norm_sum = true, .norm_cell = true}),
        CellKind("GruAfterNormedAll", {.kind = "GRU", .norm = "ALL", .norm_bias = false}),
        CellKind("GruAfterNormedGates", {.kind = "GRU", .gate = "HARD_SIGMOID", .norm = "GATES"}),
        CellKind("GruAfterRelu", {.kind = "GRU", .function = "RELU"}),
        CellKind("GruBeforeNormedAll", {.kind = "GRU", .reset_before = true, .norm = "ALL"}),
        CellKind("GruBeforeNormedBlocks", {.kind = "GRU", .reset_before = true, .bias_state = false, .norm = "BLOCKS"}),
        CellKind("GruBeforeNormedGates",
                 {.kind = "GRU", .reset_before = true, .gate = "HARD_SIGMOID", .function = "SIGMOID", .norm = "GATES"}),
        CellKind("RnnRelu", {.kind = "RNN", .function = "RELU"}),
        CellKind("RnnIdentityNormedApart", {.kind = "RNN", .function = "IDENTITY", .norm = "ALL"}),
        CellKind("RnnNormedSum", {.kind = "RNN", .bias_input = false, .norm = "BLOCKS", .norm_sum = true})),
    [](const auto& info) { return info.param.name; });

// Rows of an attention matrix against the reference, within the tolerances that the project promises at f32.
void ExpectClose(const DecodedHypothesis& got, const std::vector<ReferenceModel::StepResult>& want, int positions) {
  ASSERT_EQ(got.tokens.size(), want.size());
  for (std::size_t t = 0; t < want.size(); ++t) {
    EXPECT_NEAR(got.log_probabilities[t], want[t].log_probabilities[got.tokens[t]], 1e-4) << "step " << t;
  }
  for (const AttentionMatrix& m : got.attentions) {
    ASSERT_EQ(m.rows, static_cast<int>(want.size()));
    ASSERT_EQ(m.columns, positions);
    for (int t = 0; t < m.rows; ++t) {
      const bool energies = m.component == AttentionMatrix::Component::kEnergies;
      const auto& rows = energies ? want[t].energies : want[t].weights;
      for (int j = 0; j < positions; ++j) {
        const double expected = rows[m.attend][m.head * positions + j];
        EXPECT_NEAR(m.values[t * positions + j], expected, (energies ? 1e-4 : 1e-5) * std::max(1.0, expected));
      }
    }
  }
}

TEST_P(EveryProgram, DecodesGreedilyAsTheReferenceDoes) {
  for (const std::int64_t table_bytes : {std::int64_t{64} << 20, std::int64_t{0}}) {
    EngineOptions options;
    options.max_table_bytes = table_bytes;
    const auto model = Load(GetParam().make({}, 1), options);
    const auto engine = model->plan->MakeEngine();
    std::mt19937 random(5);
    std::vector<DecodeJob> jobs(40);
    for (DecodeJob& job : jobs) {
      job.source = RandomSource(random, 23);
      job.search.max_length = 1 + random() % 12;
      job.capture = Everything(*model->plan);
    }
    const std::vector<DecodeResult> results = RunAll(*engine, jobs);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      const ReferenceModel reference(model->program, jobs[i].source);
      ASSERT_EQ(results[i].hypotheses.size(), 1u);
      const DecodedHypothesis& got = results[i].hypotheses[0];
      EXPECT_EQ(got.tokens, reference.Greedy(kEos, jobs[i].search.max_length));
      EXPECT_EQ(got.finish, got.tokens.back() == kEos ? FinishReason::kEos : FinishReason::kLength);
      ExpectClose(got, reference.Force(got.tokens), static_cast<int>(jobs[i].source.size()));
    }
  }
}

TEST_P(EveryProgram, ScoresAForcedTargetAsTheReferenceDoes) {
  const auto model = Load(GetParam().make({}, 2));
  const auto engine = model->plan->MakeEngine();
  std::mt19937 random(6);
  std::vector<DecodeJob> jobs(8);
  for (DecodeJob& job : jobs) {
    job.source = RandomSource(random, 23);
    job.forced = RandomSource(random, 19);
    job.capture = Everything(*model->plan);
  }
  const std::vector<DecodeResult> results = RunAll(*engine, jobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const ReferenceModel reference(model->program, jobs[i].source);
    EXPECT_EQ(results[i].hypotheses.at(0).tokens, jobs[i].forced);
    ExpectClose(results[i].hypotheses[0], reference.Force(jobs[i].forced), static_cast<int>(jobs[i].source.size()));
  }
}

TEST_P(EveryProgram, GivesEveryHypothesisTheAttentionOfForcedDecoding) {
  const auto model = Load(GetParam().make({}, 3));
  const auto engine = model->plan->MakeEngine();
  std::mt19937 random(7);
  for (int round = 0; round < 10; ++round) {
    std::vector<DecodeJob> jobs(1);
    jobs[0].source = RandomSource(random, 23);
    jobs[0].search = {.beam_size = 5, .n_best = 5, .max_length = 9};
    jobs[0].search.length_normalization = LengthNormalization::kPower;
    jobs[0].capture = Everything(*model->plan);
    const DecodeResult result = RunAll(*engine, jobs)[0];
    ASSERT_EQ(result.hypotheses.size(), 5u);
    for (std::size_t h = 0; h < result.hypotheses.size(); ++h) {
      const DecodedHypothesis& hypothesis = result.hypotheses[h];
      if (h > 0) {
        EXPECT_GE(result.hypotheses[h - 1].score, hypothesis.score);
      }
      std::vector<DecodeJob> forced(1);
      forced[0].source = jobs[0].source;
      forced[0].forced = hypothesis.tokens;
      forced[0].capture = jobs[0].capture;
      const DecodedHypothesis again = RunAll(*engine, forced)[0].hypotheses.at(0);
      EXPECT_EQ(again.log_probabilities, hypothesis.log_probabilities);
      EXPECT_NEAR(again.log_probability, hypothesis.log_probability, 1e-5);
      ASSERT_EQ(again.attentions.size(), hypothesis.attentions.size());
      for (std::size_t i = 0; i < again.attentions.size(); ++i) {
        EXPECT_EQ(again.attentions[i].values, hypothesis.attentions[i].values);
      }
    }
  }
}

// Greedy and beam jobs of every length together, alone, and with few rows: the same to the bit.
TEST_P(EveryProgram, GivesTheSameResultWhateverSharesTheBatch) {
  std::vector<std::unique_ptr<Model>> models;
  for (const int rows : {64, 16, 5}) {
    EngineOptions options;
    options.max_rows = rows;
    options.encode_positions_per_step = rows;
    models.push_back(Load(GetParam().make({}, 4), options));
  }
  std::mt19937 random(8);
  std::vector<DecodeJob> jobs(60);
  for (DecodeJob& job : jobs) {
    job.source = RandomSource(random, 23, 40);
    job.search.beam_size = random() % 3 == 0 ? 1 + random() % 5 : 1;
    job.search.n_best = job.search.beam_size;
    job.search.max_length = 1 + random() % 20;
    job.capture = Everything(*models[0]->plan);
  }
  std::vector<DecodeResult> alone;
  const auto lonely = models[0]->plan->MakeEngine();
  for (const DecodeJob& job : jobs) alone.push_back(RunAll(*lonely, {job})[0]);
  for (const auto& model : models) {
    const auto engine = model->plan->MakeEngine();
    const std::vector<DecodeResult> together = RunAll(*engine, jobs);
    for (std::size_t i = 0; i < jobs.size(); ++i) ExpectSame(together[i], alone[i]);
  }
}

TEST(Engine, LeavesOthersAloneWhenAJobIsReleasedAtAnyPoint) {
  EngineOptions options;
  options.max_rows = 8;
  options.encode_positions_per_step = 3;
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
  const auto engine = model->plan->MakeEngine();
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
  options.encode_positions_per_step = 8;
  const auto model = Load(LuongLstm({}, 4), options);
  const auto engine = model->plan->MakeEngine();
  DecodeJob first, second;
  first.source = {5, 6, kEos};
  first.forced.assign(200, 7);
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
    EXPECT_LE(report.encoded_positions, 8 + 64);
  }
  EXPECT_THAT(report.finished, testing::ElementsAre(2));
  EXPECT_GT(steps, 20);
}

// Self-attention over a long source is work in pieces too.
TEST(Engine, SpreadsSelfAttentionOverStepsWhileOthersDecode) {
  EngineOptions options;
  options.encode_positions_per_step = 8;
  const auto model = Load(Student({.embedding = 64}, 4), options);
  const auto engine = model->plan->MakeEngine();
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
    EXPECT_LE(report.encoded_positions, 8 + 500 + 16);
  }
  EXPECT_THAT(report.finished, testing::ElementsAre(2));
  // Per layer at least 8 pieces each of projections and attention.
  EXPECT_GT(steps, 32);
  ExpectSame(engine->Take(2), alone);
  const ReferenceModel reference(model->program, second.source);
  ExpectClose(alone.hypotheses[0], reference.Force(alone.hypotheses[0].tokens), 500);
}

TEST(Engine, KnowsPositionsBeyondThoseThatItTabulates) {
  EngineOptions options;
  options.max_source_tokens = options.max_target_tokens = 20;
  const auto model = Load(Student({}, 5), options);
  const auto engine = model->plan->MakeEngine();
  DecodeJob job;
  job.source = {5, 6, kEos};
  job.forced.assign(50, 7);
  const DecodeResult result = RunAll(*engine, {job})[0];
  ExpectClose(result.hypotheses[0], ReferenceModel(model->program, job.source).Force(job.forced), 3);
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
  const auto engine = model->plan->MakeEngine();
  DecodeJob job;
  job.source = {5, 6, kEos};
  job.forced = {7, 8, 9};
  const DecodeResult result = RunAll(*engine, {job})[0];
  ExpectClose(result.hypotheses[0], ReferenceModel(model->program, job.source).Force(job.forced), 3);
}

}  // namespace
}  // namespace heed
