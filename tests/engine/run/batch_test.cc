// The same input gives the same output whatever shares the batch, to the bit, in every precision; and what a precision
// costs stays small. CTest runs it under every instruction set that oneDNN can be held to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "tests/engine/run/engine_fixture.h"
#include "tests/support/precisions.h"

namespace heed {
namespace {

class EveryPrecision : public testing::TestWithParam<std::tuple<Kind, Precision>> {
 protected:
  static std::unique_ptr<Model> Make(std::uint32_t seed, Precision precision, int rows = 64) {
    EngineOptions options;
    options.max_rows = rows;
    options.encode_time_per_step = absl::Microseconds(10);
    options.precision = precision;
    return Load(std::get<0>(GetParam()).make({}, seed), options);
  }
  static Precision precision() { return std::get<1>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Programs, EveryPrecision,
                         testing::Combine(testing::ValuesIn(AllKinds()), testing::ValuesIn(Precisions())),
                         [](const auto& info) {
                           return std::get<0>(info.param).name + "_" +
                                  std::string(PrecisionName(std::get<1>(info.param)));
                         });

// Greedy and beam jobs of every length together, alone, and with few rows.
TEST_P(EveryPrecision, GivesTheSameResultWhateverSharesTheBatch) {
  std::vector<std::unique_ptr<Model>> models;
  for (const int rows : {64, 16, 5}) models.push_back(Make(4, precision(), rows));
  std::mt19937 random(8);
  std::vector<DecodeJob> jobs(60);
  for (DecodeJob& job : jobs) {
    job = RandomJob(random, *models[0], 40);
    job.search.beam_size = random() % 3 == 0 ? 1 + random() % 5 : 1;
    job.search.n_best = job.search.beam_size;
    job.search.max_length = 1 + random() % 20;
    if (random() % 4 == 0) job.search.min_length = 3;  // wants all logits
  }
  std::vector<DecodeResult> alone;
  const auto lonely = models[0]->plan->MakeEngine().value();
  for (const DecodeJob& job : jobs) alone.push_back(RunAll(*lonely, {job})[0]);
  for (const auto& model : models) {
    const auto engine = model->plan->MakeEngine().value();
    const std::vector<DecodeResult> together = RunAll(*engine, jobs);
    for (std::size_t i = 0; i < jobs.size(); ++i) ExpectSame(together[i], alone[i]);
  }
}

// What the model says of a target is nearly the same in each precision.
TEST_P(EveryPrecision, ScoresATargetNearlyAsFloat32Does) {
  const auto model = Make(2, precision()), exact = Make(2, Precision::kFloat32);
  const auto engine = model->plan->MakeEngine().value(), exactly = exact->plan->MakeEngine().value();
  std::mt19937 random(6);
  std::vector<DecodeJob> jobs(16);
  for (DecodeJob& job : jobs) {
    job = RandomJob(random, *model);
    job.shortlist.clear();  // ids outside of one have no probability
    job.forced = RandomSource(random, 19);
  }
  const std::vector<DecodeResult> got = RunAll(*engine, jobs), want = RunAll(*exactly, jobs);
  double difference = 0;
  int tokens = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const auto &x = got[i].hypotheses.at(0).log_probabilities, &y = want[i].hypotheses.at(0).log_probabilities;
    for (std::size_t t = 0; t < x.size(); ++t, ++tokens) difference += std::abs(x[t] - y[t]);
  }
  // Of random weights, the deepest model's most.
  EXPECT_LE(difference / tokens, precision() == Precision::kFloat32 ? 0 : 0.08);
}

// A vocabulary that the output layer multiplies in several blocks, fewer of them for few rows.
TEST(Batch, HoldsALargeVocabularyWithoutAChangeOfBits) {
  for (const Precision precision : Precisions()) {
    EngineOptions options;
    options.precision = precision;
    BundleBuilder builder =
        LuongLstm({.target_vocabulary = 5000, .embedding = 96, .encoder_hidden = 48, .attention = 96}, 6);
    // Logits far apart, as a trained model's are, so that sums of many small terms round.
    for (auto& [name, tensor] : builder.tensors()) {
      if (tensor.shape.size() == 2 && tensor.shape[0] == 5000) {
        for (float& w : tensor.data) w *= 3;
      }
    }
    const auto model = Load(std::move(builder), options);
    std::mt19937 random(11);
    std::vector<DecodeJob> jobs(64);
    for (DecodeJob& job : jobs) {
      job = RandomJob(random, *model, 30);
      job.search.max_length = 12;
      job.search.beam_size = job.search.n_best = 1 + static_cast<int>(random() % 2);
    }
    const auto engine = model->plan->MakeEngine().value();
    const std::vector<DecodeResult> together = RunAll(*engine, jobs);
    for (std::size_t i = 0; i < jobs.size(); ++i) ExpectSame(RunAll(*engine, {jobs[i]})[0], together[i]);
  }
}

// Cores that are lent do blocks of the output product of few rows.
TEST(Batch, SharesAProductWithOtherCoresWithoutAChangeOfBits) {
  for (const Precision precision : Precisions()) {
    const auto team = MakeCoreTeam(3);
    EngineOptions options;
    options.precision = precision;
    options.team = team.get();
    const auto model = Load(
        LuongLstm({.target_vocabulary = 22000, .embedding = 96, .encoder_hidden = 48, .attention = 96}, 6), options);
    std::mt19937 random(12);
    std::vector<DecodeJob> jobs(6);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      jobs[i] = RandomJob(random, *model, 30);
      jobs[i].search.max_length = 12;
      jobs[i].search.beam_size = jobs[i].search.n_best = 1 + static_cast<int>(i);
      if (i % 2 == 0) jobs[i].search.min_length = 3;  // wants all logits
    }
    const auto engine = model->plan->MakeEngine().value();
    for (const DecodeJob& job : jobs) {
      const DecodeResult alone = RunAll(*engine, {job})[0];
      const std::uint32_t before = team->calls();
      team->Lend(3);
      ExpectSame(RunAll(*engine, {job})[0], alone);
      team->Lend(-3);
      // With AMX bfloat16's few rows are padded to more than are shared.
      if (precision != Precision::kBfloat16) {
        EXPECT_GT(team->calls(), before) << "it did all of it alone";
      }
    }
  }
}

// Past 72 rows, where products without brgemm go in parts.
TEST(Batch, HoldsManyRowsWithoutAChangeOfBits) {
  for (const Precision precision : Precisions()) {
    EngineOptions options;
    options.max_rows = 200;
    options.precision = precision;
    const auto model = Load(LuongLstm({}, 5), options);
    std::mt19937 random(9);
    std::vector<DecodeJob> jobs(200);
    for (DecodeJob& job : jobs) {
      job = RandomJob(random, *model, 30);
      job.search.max_length = 12;
    }
    const auto engine = model->plan->MakeEngine().value();
    std::vector<DecodeResult> alone;
    for (const DecodeJob& job : jobs) alone.push_back(RunAll(*engine, {job})[0]);
    for (const std::size_t count : {73u, 78u, 90u, 126u, 200u}) {
      const std::vector<DecodeResult> together =
          RunAll(*engine, {jobs.begin(), jobs.begin() + static_cast<std::ptrdiff_t>(count)});
      for (std::size_t i = 0; i < count; ++i) ExpectSame(together[i], alone[i]);
    }
  }
}

TEST(Plan, RefusesAPrecisionThatTheMachineLacks) {
  const auto bundle = LuongLstm({}, 5).Build();
  const auto program = CheckProgram(bundle).value();
  EngineOptions options;
  options.precision = Precision::kBfloat16;
  const absl::Status lacking = CheckPrecision(options.precision);
  EXPECT_EQ(Plan::Make(bundle, program, options).status(), lacking);
  EXPECT_EQ(Plan::Measure(bundle, program, options).status(), lacking);
}

}  // namespace
}  // namespace heed
