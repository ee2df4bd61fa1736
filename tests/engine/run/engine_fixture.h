// What the engine's tests share: models of every kind, random jobs, running them, comparing results.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/model/checker.h"
#include "engine/run/plan.h"
#include "tests/support/attention_models.h"

namespace heed {

inline constexpr TokenId kEos = 2;

struct Model {
  Bundle bundle;
  CheckedProgram program;
  std::shared_ptr<const Plan> plan;
};

inline std::unique_ptr<Model> Load(BundleBuilder builder, const EngineOptions& options = {}) {
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

inline std::vector<TokenId> RandomSource(std::mt19937& random, int vocabulary, int longest = 17) {
  std::vector<TokenId> source(1 + random() % longest);
  for (TokenId& id : source) id = 3 + random() % (vocabulary - 3);
  source.back() = kEos;
  return source;
}

// Runs all jobs, admitting each as soon as rows are free; result i belongs to job i.
inline std::vector<DecodeResult> RunAll(StepEngine& engine, const std::vector<DecodeJob>& jobs) {
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

inline Capture Everything(const Plan& plan) {
  Capture capture{true, true, true, {}};
  for (std::size_t i = 0; i < plan.attends().size(); ++i) capture.attends.push_back(static_cast<int>(i));
  return capture;
}

// Source tokens with an even id are known to the target side; every other piece is the job's own.
inline void AddCopyIds(DecodeJob& job, int vocabulary) {
  std::map<TokenId, TokenId> own;
  for (const TokenId id : job.source) {
    if (id % 2 == 0) {
      job.copy_ids.push_back(id % vocabulary);
    } else {
      job.copy_ids.push_back(own.try_emplace(id, vocabulary + static_cast<TokenId>(own.size())).first->second);
    }
  }
}

// A random source with all that the model's jobs may have; two of three have a shortlist where that may be.
inline DecodeJob RandomJob(std::mt19937& random, const Model& model, int longest = 17) {
  DecodeJob job;
  job.source = RandomSource(random, 23, longest);
  job.capture = Everything(*model.plan);
  job.sources = random() % 2 == 0;
  if (random() % 2 == 0) job.text_end = static_cast<int>(job.source.size()) - 1;  // </s> is no text
  if (model.plan->copies()) AddCopyIds(job, model.bundle.spec.target().size());
  for (TokenId id = 0; model.plan->shortlists() && job.source.size() % 3 != 0 && id < 23; ++id) {
    if (id == kEos || random() % 3 > 0) job.shortlist.push_back(id);
  }
  return job;
}

inline void ExpectSame(const DecodeResult& a, const DecodeResult& b) {
  ASSERT_EQ(a.hypotheses.size(), b.hypotheses.size());
  for (std::size_t h = 0; h < a.hypotheses.size(); ++h) {
    const DecodedHypothesis &x = a.hypotheses[h], &y = b.hypotheses[h];
    EXPECT_EQ(x.tokens, y.tokens);
    EXPECT_EQ(x.log_probabilities, y.log_probabilities);  // to the bit
    EXPECT_EQ(x.score, y.score);
    ASSERT_EQ(x.attentions.size(), y.attentions.size());
    for (std::size_t i = 0; i < x.attentions.size(); ++i) EXPECT_EQ(x.attentions[i].values, y.attentions[i].values);
    EXPECT_EQ(x.sources, y.sources);
    ASSERT_EQ(x.copies.size(), y.copies.size());
    for (std::size_t t = 0; t < x.copies.size(); ++t) {
      EXPECT_EQ(x.copies[t].gate, y.copies[t].gate);
      EXPECT_EQ(x.copies[t].share, y.copies[t].share);
      EXPECT_EQ(x.copies[t].source, y.copies[t].source);
    }
  }
}

struct Kind {
  std::string name;
  std::function<BundleBuilder(const TestSizes&, std::uint32_t)> make;
};
inline std::ostream& operator<<(std::ostream& out, const Kind& kind) { return out << kind.name; }

inline Kind CellKind(const std::string& name, const TestCell& cell) {
  return {name, [cell](const TestSizes& z, std::uint32_t seed) { return CellModel(cell, z, seed); }};
}
inline Kind AttendKind(const std::string& name, const TestAttend& attend) {
  return {name, [attend](const TestSizes& z, std::uint32_t seed) { return AttentionModel(attend, z, seed); }};
}
inline std::vector<Kind> AllKinds() {
  return {
      Kind{"LuongLstm", LuongLstm},
      Kind{"BahdanauGru", BahdanauGru},
      Kind{"NoAttention", NoAttention},
      Kind{"Marian", Marian},
      Kind{"Variety", Variety},
      Kind{"Student", Student},

      CellKind("Ssru", {.kind = "SSRU"}),
      CellKind("SsruTanhHardNormed", {.kind = "SSRU", .gate = "HARD_SIGMOID", .function = "TANH", .norm = "BLOCKS"}),
      CellKind("LstmHardRelu", {.kind = "LSTM", .gate = "HARD_SIGMOID", .function = "RELU"}),
      CellKind("LstmHardSixth", {.kind = "LSTM", .gate = "HARD_SIGMOID_SIXTH"}),
      CellKind("LstmNormedApart", {.kind = "LSTM", .norm = "BLOCKS", .norm_cell = true}),
      CellKind("LstmNormedSumAndCellCarried",
               {.kind = "LSTM", .norm = "BLOCKS", .norm_sum = true, .norm_cell = true, .norm_carried = true}),
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
      CellKind("RnnNormedSum", {.kind = "RNN", .bias_input = false, .norm = "BLOCKS", .norm_sum = true}),
      AttendKind("Sparsemax", {.sparsemax = true}),
      AttendKind("DotSparsemaxHeads", {.score = "DOT", .heads = 3, .sparsemax = true, .values = true}),
      AttendKind("Location", {.score = "LOCATION"}),
      AttendKind("LocationHeads", {.score = "LOCATION", .heads = 2}),
      AttendKind("LocationSparsemax", {.score = "LOCATION", .sparsemax = true, .values = true, .in_init = true}),
      AttendKind("GeneralHeads", {.score = "GENERAL", .heads = 2}),
      AttendKind("AdditiveHeads", {.heads = 2, .values = true}),
      AttendKind("Keys", {.keys = true}),
      AttendKind("DotKeysInit", {.score = "DOT", .keys = true, .values = true, .in_init = true}),
      AttendKind("Coverage", {.coverage = true}),
      AttendKind("CoverageHeadsInit", {.heads = 2, .coverage = true, .in_init = true}),
      AttendKind("Arithmetic", {.coverage = true, .arithmetic = true}),
      AttendKind("ArithmeticHeadsSparsemaxInit",
                 {.heads = 2, .sparsemax = true, .coverage = true, .arithmetic = true, .in_init = true}),
      Kind{"PointerGenerator", PointerGenerator},
      Kind{"CopyAttentionOwn", [](const TestSizes& z, std::uint32_t seed) { return CopyAttention(true, z, seed); }},
      Kind{"CopyAttentionReused", [](const TestSizes& z, std::uint32_t seed) { return CopyAttention(false, z, seed); }},
      Kind{"Shortlisted", Shortlisted}};
}

}  // namespace heed
