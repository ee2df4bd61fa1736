// The shipped bundles through the engine: what PyTorch said of the same stored weights (parity.json), and the right
// attention behind every hypothesis of a beam.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/model/checker.h"
#include "engine/run/plan.h"

namespace heed {
namespace {

class ShippedBundle : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto bundle = ReadBundle(std::string("models/") + GetParam());
    ASSERT_TRUE(bundle.ok()) << bundle.status();
    bundle_ = *std::move(bundle);
    auto program = CheckProgram(bundle_);
    ASSERT_TRUE(program.ok()) << program.status();
    const auto plan = Plan::Make(bundle_, *program, {});
    ASSERT_TRUE(plan.ok()) << plan.status();
    engine_ = (*plan)->MakeEngine().value();
    for (const AttendInfo& attend : (*plan)->attends()) names_.push_back(attend.name);
    parity_ = nlohmann::json::parse(bundle_.files.at("parity.json"));
    ASSERT_GE(parity_["cases"].size(), 10u);
  }

  DecodeJob Job(const nlohmann::json& example) const {
    DecodeJob job;
    job.source = example["source_ids"].get<std::vector<TokenId>>();
    if (example.contains("copy_ids")) job.copy_ids = example["copy_ids"].get<std::vector<TokenId>>();
    job.search.max_length = parity_["search"]["max_length_a"].get<int>() * static_cast<int>(job.source.size()) +
                            parity_["search"]["max_length_b"].get<int>();
    job.capture = {true, true, {}};
    for (std::size_t i = 0; i < names_.size(); ++i) job.capture.attends.push_back(static_cast<int>(i));
    return job;
  }

  std::vector<DecodeResult> RunAll(const std::vector<DecodeJob>& jobs) {
    std::vector<DecodeResult> results(jobs.size());
    StepReport report;
    std::size_t next = 0;
    while (next < jobs.size() || engine_->live_jobs() > 0) {
      while (next < jobs.size() && engine_->free_rows() >= jobs[next].search.beam_size) {
        engine_->Admit(static_cast<JobId>(next), &jobs[next]);
        ++next;
      }
      report.Clear();
      engine_->Step(&report);
      for (const JobId id : report.finished) results[id] = engine_->Take(id);
    }
    return results;
  }

  Bundle bundle_;
  std::unique_ptr<StepEngine> engine_;
  std::vector<std::string> names_;
  nlohmann::json parity_;
};
INSTANTIATE_TEST_SUITE_P(Models, ShippedBundle, testing::Values("pydocs-ko-en", "sae4k-ko"), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(ShippedBundle, SaysWhatPyTorchSaid) {
  std::vector<DecodeJob> jobs;
  for (const auto& example : parity_["cases"]) jobs.push_back(Job(example));
  const std::vector<DecodeResult> results = RunAll(jobs);
  const double log_tolerance = parity_["tolerance"]["log_probability"],
               weight_tolerance = parity_["tolerance"]["weight"], energy_tolerance = parity_["tolerance"]["energy"];
  ASSERT_LE(log_tolerance, 1e-4);
  ASSERT_LE(weight_tolerance, 1e-5);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const auto& example = parity_["cases"][i];
    const DecodedHypothesis& got = results[i].hypotheses.at(0);
    ASSERT_EQ(got.tokens, example["target_ids"].get<std::vector<TokenId>>()) << example["text"];
    for (std::size_t t = 0; t < got.tokens.size(); ++t) {
      EXPECT_NEAR(got.log_probabilities[t], example["log_probabilities"][t].get<double>(), log_tolerance);
    }
    for (const AttentionMatrix& m : got.attentions) {
      const auto wanted = std::find_if(example["attentions"].begin(), example["attentions"].end(), [&](const auto& a) {
        return a["attend"] == names_[m.attend] && a["head"] == m.head;
      });
      ASSERT_NE(wanted, example["attentions"].end());
      const bool energies = m.component == AttentionMatrix::Component::kEnergies;
      const auto& rows = (*wanted)[energies ? "energies" : "weights"];
      ASSERT_EQ(static_cast<int>(rows.size()), m.rows);
      for (int t = 0; t < m.rows; ++t) {
        for (int j = 0; j < m.columns; ++j) {
          const double want = rows[t][j];
          EXPECT_NEAR(m.values[t * m.columns + j], want,
                      (energies ? energy_tolerance : weight_tolerance) * std::max(1.0, std::abs(want)));
        }
      }
    }
  }
}

TEST_P(ShippedBundle, GivesEveryHypothesisOfABeamTheAttentionOfForcedDecoding) {
  for (const auto& example : parity_["cases"]) {
    DecodeJob job = Job(example);
    job.search.beam_size = job.search.n_best = 5;
    job.search.length_normalization = LengthNormalization::kPower;
    const DecodeResult found = RunAll({job})[0];
    ASSERT_EQ(found.hypotheses.size(), 5u);
    std::vector<DecodeJob> forced;
    for (const DecodedHypothesis& hypothesis : found.hypotheses) {
      forced.push_back(Job(example));
      forced.back().forced = hypothesis.tokens;
    }
    const std::vector<DecodeResult> again = RunAll(forced);
    for (std::size_t h = 0; h < forced.size(); ++h) {
      const DecodedHypothesis &beam = found.hypotheses[h], &alone = again[h].hypotheses.at(0);
      ASSERT_EQ(beam.attentions.size(), alone.attentions.size());
      for (std::size_t i = 0; i < beam.attentions.size(); ++i) {
        ASSERT_EQ(beam.attentions[i].values.size(), alone.attentions[i].values.size());
        for (std::size_t v = 0; v < beam.attentions[i].values.size(); ++v) {
          const float want = alone.attentions[i].values[v];
          ASSERT_NEAR(beam.attentions[i].values[v], want, 1e-5f * std::max(1.0f, std::abs(want)));
        }
      }
    }
  }
}

}  // namespace
}  // namespace heed
