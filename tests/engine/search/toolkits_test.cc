// Search with each toolkit's settings against that toolkit's own loop, on models of no weights: tokens and scores of
// the whole n-best list, over many models and widths. Settings are those of docs/bundle.md.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "tests/engine/search/toolkit_loops.h"

namespace heed {
namespace {

constexpr int kModels = 150;

std::string Joined(const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) text.append(" ").append(std::to_string(token));
  return text;
}

void ExpectSame(const LoopHypotheses& wanted, const std::vector<Search::Result>& found, const std::string& where) {
  ASSERT_EQ(found.size(), wanted.size()) << where;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_EQ(Joined(found[i].tokens), Joined(wanted[i].tokens)) << where << ", hypothesis " << i;
    if (std::isinf(wanted[i].score)) {
      ASSERT_EQ(found[i].score, wanted[i].score) << where << ", hypothesis " << i;
    } else {
      ASSERT_NEAR(found[i].score, wanted[i].score, 1e-4 * std::max(1.0, std::abs(wanted[i].score)))
          << where << ", hypothesis " << i;
    }
  }
}

// Over models whose outputs are of all lengths, and beams of 1 to 4.
void ForEachModel(const std::function<void(const ToyModel&, int beam, const std::string& where)>& compare) {
  for (unsigned seed = 0; seed < kModels; ++seed) {
    const ToyModel model{seed, static_cast<float>(seed % 4) - 0.5f};
    const int beam = 1 + static_cast<int>(seed / 4 % 4);
    compare(model, beam, "model " + std::to_string(seed) + ", beam " + std::to_string(beam));
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(FairseqSearch, IsThatOfFairseq) {
  ForEachModel([](const ToyModel& model, int beam, const std::string& where) {
    FairseqSettings settings{
        .beam = beam, .max_len = 6, .lenpen = 0.5 + model.seed % 3 * 0.5, .unkpen = model.seed % 2 * 0.7};
    settings.no_repeat_ngram_size = model.seed % 5 == 0 ? 2 : 0;
    SearchOptions options{.beam_size = beam, .n_best = beam, .min_length = 1, .max_length = 6 + 1};
    options.length_normalization = LengthNormalization::kPower;
    options.length_alpha = static_cast<float>(settings.lenpen);
    options.unfinished = UnfinishedPolicy::kEnd;
    options.banned = {kToyPad};
    options.unknown = kToyUnk;
    options.unknown_penalty = static_cast<float>(settings.unkpen);
    options.no_repeat_ngram_size = settings.no_repeat_ngram_size;
    ExpectSame(FairseqLoop(model, settings), RunSearch(model, options), where);
  });
}

SearchOptions OpenNmtOptions(const OpenNmtSettings& s) {
  SearchOptions options{
      .beam_size = s.beam, .n_best = s.n_best, .min_length = s.min_length, .max_length = s.max_length};
  options.beam_policy = BeamPolicy::kRefill;
  options.beam_stop = s.stop == OpenNmtSettings::Stop::kTopEnded  ? BeamStop::kBestEnded
                      : s.stop == OpenNmtSettings::Stop::kTopEnds ? BeamStop::kBestEnds
                                                                  : BeamStop::kBestEndedAndFull;
  options.length_offset = 1;
  if (s.length == OpenNmtSettings::Length::kWu) options.length_normalization = LengthNormalization::kGnmt;
  if (s.length == OpenNmtSettings::Length::kAvg) options.length_normalization = LengthNormalization::kPower;
  options.length_alpha = static_cast<float>(s.alpha);
  options.coverage_penalty = s.coverage;
  options.coverage_beta = static_cast<float>(s.beta);
  options.coverage_every_step = s.stepwise_penalty;
  options.no_repeat_ngram_size = s.block_ngram_repeat;
  if (s.ban_unk) options.banned = {kToyUnk};
  return options;
}

// Settings that vary with the model.
OpenNmtSettings OpenNmtSettingsFor(const ToyModel& model, int beam) {
  using Length = OpenNmtSettings::Length;
  OpenNmtSettings settings{.beam = beam, .n_best = 1 + static_cast<int>(model.seed) % beam, .max_length = 7};
  settings.min_length = static_cast<int>(model.seed / 3 % 3);
  settings.length = static_cast<Length>(model.seed % 3);
  settings.alpha = settings.length == Length::kAvg ? 1 : 0.8;
  if (model.seed % 2 == 1) {
    settings.coverage = model.seed % 4 == 1 ? CoveragePenalty::kWu : CoveragePenalty::kSummary;
    settings.beta = 0.4;
    settings.stepwise_penalty = model.seed % 8 >= 4;
  }
  settings.block_ngram_repeat = model.seed % 5 == 2 ? 2 : 0;
  settings.ban_unk = model.seed % 7 == 3;
  return settings;
}

TEST(OpenNmtSearch, IsThatOfEveryVersionSince1) {
  using Stop = OpenNmtSettings::Stop;
  for (const Stop stop : {Stop::kTopEnded, Stop::kTopEndedAndBeam, Stop::kTopEnds}) {
    ForEachModel([stop](const ToyModel& model, int beam, const std::string& where) {
      OpenNmtSettings settings = OpenNmtSettingsFor(model, beam);
      settings.stop = stop;
      ExpectSame(OpenNmtLoop(model, settings), RunSearch(model, OpenNmtOptions(settings)), where);
    });
  }
}

TEST(OpenNmtSearch, IsThatOfVersion0) {
  ForEachModel([](const ToyModel& model, int beam, const std::string& where) {
    OpenNmtSettings settings = OpenNmtSettingsFor(model, beam);
    settings.n_best = 1;
    settings.ban_unk = false;
    SearchOptions options = OpenNmtOptions(settings);
    options.min_length = std::max(0, settings.min_length - 1);
    options.unfinished = UnfinishedPolicy::kFill;
    options.no_repeat_ngram_drops = true;
    ExpectSame(OldOpenNmtLoop(model, settings), RunSearch(model, options), where);
  });
}

TEST(JoeySearch, IsThatOfJoeyNmt) {
  for (const bool all_places : {false, true}) {
    ForEachModel([all_places](const ToyModel& model, int beam, const std::string& where) {
      // Before 1.4 further hypotheses may be unfinished ones; they are not reproduced.
      JoeySettings settings{.beam = beam, .n_best = all_places ? beam : 1, .max_output_length = 7};
      settings.min_output_length = all_places ? 1 : 0;
      settings.alpha = model.seed % 3 == 0 ? -1 : 0.5 * (model.seed % 3);
      settings.all_places = all_places;
      SearchOptions options{
          .beam_size = beam, .n_best = settings.n_best, .min_length = settings.min_output_length, .max_length = 7};
      options.beam_policy = BeamPolicy::kGoOn;
      options.beam_stop = all_places ? BeamStop::kPlacesEnded : BeamStop::kBestEnds;
      if (settings.alpha > 0) options.length_normalization = LengthNormalization::kGnmt;
      options.length_alpha = static_cast<float>(settings.alpha);
      options.banned = {kToyStart, kToyPad};
      ExpectSame(JoeyLoop(model, settings), RunSearch(model, options), where);
    });
  }
}

TEST(MarianSearch, IsThatOfMarian) {
  ForEachModel([](const ToyModel& model, int beam, const std::string& where) {
    MarianSettings settings{
        .beam = beam, .normalize = model.seed % 3 * 0.6, .word_penalty = model.seed % 2 * 0.3, .max_length_factor = 2};
    SearchOptions options{.beam_size = beam, .n_best = beam, .max_length = 2 * kToySource};
    options.beam_policy = BeamPolicy::kShrink;
    options.length_normalization = LengthNormalization::kPower;
    options.length_alpha = static_cast<float>(settings.normalize);
    options.word_penalty = static_cast<float>(settings.word_penalty);
    options.banned = {kToyUnk};
    ExpectSame(MarianLoop(model, settings), RunSearch(model, options), where);
  });
}

TEST(NematusSearch, IsThatOfTheTheanoVersions) {
  ForEachModel([](const ToyModel& model, int beam, const std::string& where) {
    NematusSettings settings{
        .beam = beam, .maxlen = 7, .alpha = model.seed % 3 * 0.5, .suppress_unk = model.seed % 2 == 1};
    SearchOptions options{.beam_size = beam, .n_best = beam, .max_length = 7};
    options.beam_policy = BeamPolicy::kShrink;
    options.length_normalization = LengthNormalization::kPower;
    options.length_alpha = static_cast<float>(settings.alpha);
    if (settings.suppress_unk) options.banned = {kToyUnk};
    ExpectSame(OldNematusLoop(model, settings), RunSearch(model, options), where);
  });
}

TEST(NematusSearch, IsThatOfTheTensorFlowVersions) {
  ForEachModel([](const ToyModel& model, int beam, const std::string& where) {
    NematusSettings settings{.beam = beam, .maxlen = 8, .alpha = model.seed % 3 * 0.5};
    SearchOptions options{.beam_size = beam, .n_best = 1, .max_length = 8 - 1};
    options.beam_policy = BeamPolicy::kRefill;
    options.beam_stop = BeamStop::kFinishedLead;
    options.unfinished = UnfinishedPolicy::kFill;
    options.length_normalization = LengthNormalization::kPower;
    options.length_alpha = static_cast<float>(settings.alpha);
    LoopHypotheses wanted = NematusLoop(model, settings);
    wanted.resize(1);
    ExpectSame(wanted, RunSearch(model, options), where);
  });
}

TEST(SockeyeSearch, IsThatOfSockeye1) {
  for (const bool each_step : {true, false}) {
    ForEachModel([each_step](const ToyModel& model, int beam, const std::string& where) {
      SockeyeSettings settings{
          .beam = beam, .max_output_length = 8, .alpha = model.seed % 3 * 0.5, .beta = model.seed % 2 * 2.0};
      settings.each_step = each_step;
      settings.stop_first = !each_step && model.seed % 5 == 0;
      SearchOptions options{.beam_size = beam, .n_best = beam, .max_length = 8 - 1};
      options.beam_policy = BeamPolicy::kKeep;
      options.beam_stop = settings.stop_first ? BeamStop::kAnyEnded : BeamStop::kAllEnded;
      options.length_normalization = LengthNormalization::kGnmt;
      options.length_alpha = static_cast<float>(settings.alpha);
      options.length_beta = static_cast<float>(settings.beta);
      options.length_every_step = each_step;
      options.length_offset = each_step ? 0 : -1;
      LoopHypotheses wanted = SockeyeLoop(model, settings);
      ExpectSame(wanted, RunSearch(model, options), where);
    });
  }
}

TEST(TensorFlowSearch, IsThatOfTheBeamSearchDecoder) {
  ForEachModel([](const ToyModel& model, int beam, const std::string& where) {
    TensorFlowSettings settings{.beam = beam, .maximum_iterations = 7};
    settings.length_penalty_weight = model.seed % 3 * 0.5;
    settings.coverage_penalty_weight = model.seed % 2 * 0.3;
    SearchOptions options{.beam_size = beam, .n_best = beam, .max_length = 7};
    options.beam_policy = BeamPolicy::kKeep;
    options.beam_stop = BeamStop::kAllEnded;
    options.length_normalization = LengthNormalization::kGnmt;
    options.length_alpha = static_cast<float>(settings.length_penalty_weight);
    options.length_every_step = true;
    options.late_end_scores = true;
    options.coverage_penalty = CoveragePenalty::kWu;
    options.coverage_beta = static_cast<float>(settings.coverage_penalty_weight);
    ExpectSame(TensorFlowLoop(model, settings), RunSearch(model, options), where);
  });
}

TEST(SeeSearch, IsThatOfThePointerGenerator) {
  ForEachModel([](const ToyModel& model, int beam, const std::string& where) {
    SeeSettings settings{.beam = beam, .max_dec_steps = 7, .min_dec_steps = static_cast<int>(model.seed % 4)};
    SearchOptions options{.beam_size = beam, .n_best = 1, .min_length = settings.min_dec_steps, .max_length = 7};
    options.beam_policy = BeamPolicy::kWalk;
    options.unfinished = UnfinishedPolicy::kFill;
    options.length_normalization = LengthNormalization::kPower;
    options.length_offset = 1;
    LoopHypotheses wanted = SeeLoop(model, settings);
    wanted.resize(1);
    ExpectSame(wanted, RunSearch(model, options), where);
  });
}

// Nothing is said in vain: each setting, changed alone, changes what some model answers.
TEST(EverySetting, ChangesAnOutcome) {
  SearchOptions base{.beam_size = 3, .n_best = 3, .max_length = 7};
  base.length_normalization = LengthNormalization::kPower;
  SearchOptions keep = base;
  keep.beam_policy = BeamPolicy::kKeep;
  keep.beam_stop = BeamStop::kAllEnded;
  SearchOptions covered = base;
  covered.coverage_penalty = CoveragePenalty::kWu;
  covered.coverage_beta = 1;
  SearchOptions refill = base;
  refill.beam_policy = BeamPolicy::kRefill;
  refill.beam_stop = BeamStop::kBestEnded;
  SearchOptions one = refill;
  one.n_best = 1;
  SearchOptions steps = keep;
  steps.length_every_step = true;
  SearchOptions unknown = base;
  unknown.unknown = kToyUnk;
  SearchOptions blocked = base;
  blocked.no_repeat_ngram_size = 2;
  SearchOptions gnmt = base;
  gnmt.length_normalization = LengthNormalization::kGnmt;
  const struct {
    const char* name;
    SearchOptions from;
    std::function<void(SearchOptions*)> change;
  } settings[] = {
      {"beam_size", base, [](auto* s) { s->beam_size = 5; }},
      {"min_length", base, [](auto* s) { s->min_length = 2; }},
      {"max_length", base, [](auto* s) { s->max_length = 4; }},
      {"repetition_penalty", base, [](auto* s) { s->repetition_penalty = 2; }},
      {"no_repeat_ngram_size", base, [](auto* s) { s->no_repeat_ngram_size = 2; }},
      {"no_repeat_ngram_drops", blocked, [](auto* s) { s->no_repeat_ngram_drops = true; }},
      {"no normalisation", base, [](auto* s) { s->length_normalization = LengthNormalization::kNone; }},
      {"gnmt", base, [](auto* s) { s->length_normalization = LengthNormalization::kGnmt; }},
      {"length_alpha", base, [](auto* s) { s->length_alpha = 0.5F; }},
      {"length_beta", gnmt, [](auto* s) { s->length_beta = 0; }},
      {"length_offset -1", base, [](auto* s) { s->length_offset = -1; }},
      {"length_offset 1", base, [](auto* s) { s->length_offset = 1; }},
      {"length_every_step", keep, [](auto* s) { s->length_every_step = true; }},
      {"late_end_scores", steps, [](auto* s) { s->late_end_scores = true; }},
      {"refill", base, [](auto* s) { s->beam_policy = BeamPolicy::kRefill; }},
      {"shrink", base, [](auto* s) { s->beam_policy = BeamPolicy::kShrink; }},
      {"keep", base, [](auto* s) { s->beam_policy = BeamPolicy::kKeep; }},
      {"walk", base, [](auto* s) { s->beam_policy = BeamPolicy::kWalk; }},
      {"go on", refill, [](auto* s) { s->beam_policy = BeamPolicy::kGoOn; }},
      {"best ends", refill, [](auto* s) { s->beam_stop = BeamStop::kBestEnds; }},
      {"best ended and full", one, [](auto* s) { s->beam_stop = BeamStop::kBestEndedAndFull; }},
      {"beam full", refill, [](auto* s) { s->beam_stop = BeamStop::kBeamFull; }},
      {"any ended", refill, [](auto* s) { s->beam_stop = BeamStop::kAnyEnded; }},
      {"places ended", refill, [](auto* s) { s->beam_stop = BeamStop::kPlacesEnded; }},
      {"finished lead", refill, [](auto* s) { s->beam_stop = BeamStop::kFinishedLead; }},
      {"all ended", refill, [](auto* s) { s->beam_stop = BeamStop::kAllEnded; }},
      {"fill", base, [](auto* s) { s->unfinished = UnfinishedPolicy::kFill; }},
      {"end", base, [](auto* s) { s->unfinished = UnfinishedPolicy::kEnd; }},
      {"banned", base,
       [](auto* s) {
         s->banned = {4, 5};
       }},
      {"unknown_penalty", unknown, [](auto* s) { s->unknown_penalty = 1; }},
      {"word_penalty", gnmt, [](auto* s) { s->word_penalty = 1; }},
      {"coverage wu", base, [](auto* s) { s->coverage_penalty = CoveragePenalty::kWu, s->coverage_beta = 0.5F; }},
      {"coverage summary", covered, [](auto* s) { s->coverage_penalty = CoveragePenalty::kSummary; }},
      {"coverage_beta", covered, [](auto* s) { s->coverage_beta = 0.1F; }},
      {"coverage_every_step", covered, [](auto* s) { s->coverage_every_step = true; }},
  };
  for (const auto& setting : settings) {
    SearchOptions changed = setting.from;
    setting.change(&changed);
    int differ = 0;
    for (unsigned seed = 0; seed < 60; ++seed) {
      const ToyModel model{seed, static_cast<float>(seed % 4) - 0.5f};
      const auto a = RunSearch(model, setting.from), b = RunSearch(model, changed);
      bool same = a.size() == b.size();
      for (std::size_t i = 0; same && i < a.size(); ++i) same = a[i].tokens == b[i].tokens;
      differ += !same;
    }
    EXPECT_GT(differ, 0) << setting.name;
  }
}

// Reported log-probabilities are the model's own whatever the penalties, and a lineage leads through the rows.
TEST(EverySetting, LeavesTheReportedProbabilitiesTheModels) {
  SearchOptions options{.beam_size = 3, .n_best = 3, .max_length = 7, .repetition_penalty = 1.5};
  options.unknown = kToyUnk;
  options.unknown_penalty = 0.5;
  options.coverage_penalty = CoveragePenalty::kSummary;
  options.coverage_beta = 1;
  options.coverage_every_step = true;
  for (const BeamPolicy policy : {BeamPolicy::kFairseq, BeamPolicy::kRefill, BeamPolicy::kShrink, BeamPolicy::kKeep,
                                  BeamPolicy::kWalk, BeamPolicy::kGoOn}) {
    options.beam_policy = policy;
    for (unsigned seed = 0; seed < 40; ++seed) {
      const ToyModel model{seed, 0};
      for (const Search::Result& result : RunSearch(model, options)) {
        ASSERT_EQ(result.lineage.size(), result.tokens.size());
        ASSERT_EQ(result.ended_by_eos, result.tokens.back() == kToyEos);
        float total = 0;
        for (std::size_t t = 0; t < result.tokens.size(); ++t) {
          const Prefix prefix(result.tokens.begin(), result.tokens.begin() + static_cast<std::ptrdiff_t>(t));
          const float own = model.LogProbabilities(prefix)[result.tokens[t]];
          ASSERT_NEAR(result.log_probabilities[t], own, 1e-5);
          total += own;
        }
        ASSERT_NEAR(result.log_probability, total, 1e-4);
      }
    }
  }
}

}  // namespace
}  // namespace heed
