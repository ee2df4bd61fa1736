#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "tests/engine/search/toolkit_loops.h"

namespace heed {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double LengthPenalty(const OpenNmtSettings& s, int cur_len) {
  if (s.length == OpenNmtSettings::Length::kWu) return std::pow((5.0 + cur_len) / 6.0, s.alpha);
  if (s.length == OpenNmtSettings::Length::kAvg) return std::pow(cur_len, s.alpha);
  return 1;
}

double CoverageOf(const OpenNmtSettings& s, const std::vector<double>& coverage) {
  double penalty = 0;
  for (const double c : coverage) {
    penalty += s.coverage == CoveragePenalty::kWu ? -std::log(std::min(c, 1.0)) : std::max(c, 1.0) - 1;
  }
  return s.coverage == CoveragePenalty::kNone ? 0 : s.beta * penalty;
}

std::vector<double> Plus(std::vector<double> a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

// Sorted indices into `scores`, best first.
std::vector<int> TopIndices(const std::vector<double>& scores, int k) {
  std::vector<int> order(scores.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return scores[a] > scores[b]; });
  order.resize(k);
  return order;
}

LoopHypotheses Best(LoopHypotheses hypotheses, int n_best) {
  std::stable_sort(hypotheses.begin(), hypotheses.end(),
                   [](const LoopHypothesis& a, const LoopHypothesis& b) { return a.score > b.score; });
  if (static_cast<int>(hypotheses.size()) > n_best) hypotheses.resize(n_best);
  return hypotheses;
}

}  // namespace

LoopHypotheses OpenNmtLoop(const ToyModel& model, const OpenNmtSettings& s) {
  std::vector<Prefix> alive_seq(s.beam);
  std::vector<double> topk_log_probs(s.beam, -kInfinity), prev_penalty;
  std::vector<std::vector<double>> coverage(s.beam, std::vector<double>(kToySource, 0.0));
  topk_log_probs[0] = 0;
  bool top_beam_finished = false;
  LoopHypotheses hypotheses;
  for (int step = 1; step <= s.max_length; ++step) {
    std::vector<double> curr_scores;
    const double length_penalty = LengthPenalty(s, step + 1);
    for (int b = 0; b < s.beam; ++b) {
      const std::vector<float> attn = model.Weights(alive_seq[b]);
      if (s.stepwise_penalty && !prev_penalty.empty()) {
        topk_log_probs[b] += prev_penalty[b] - CoverageOf(s, Plus(coverage[b], attn));
      }
      const std::vector<float> log_probs = model.LogProbabilities(alive_seq[b]);
      const int n = s.block_ngram_repeat, length = static_cast<int>(alive_seq[b].size());
      std::set<TokenId> forbidden;
      for (int i = 0; n > 1 && i + n <= length; ++i) {
        if (std::equal(alive_seq[b].begin() + i, alive_seq[b].begin() + i + n - 1, alive_seq[b].end() - (n - 1))) {
          forbidden.insert(alive_seq[b][i + n - 1]);
        }
      }
      for (TokenId id = 0; id < kToyVocabulary; ++id) {
        double score = log_probs[id];
        if (id == kToyEos && step <= s.min_length) score = -1e20;
        if (id == kToyUnk && s.ban_unk) score = -1e20;
        score = (score + topk_log_probs[b]) / length_penalty;
        curr_scores.push_back(forbidden.count(id) > 0 ? -1e21 : score);
      }
      coverage[b] = Plus(coverage[b], attn);
    }
    std::vector<Prefix> seqs;
    std::vector<double> topk_scores;
    std::vector<std::vector<double>> coverages;
    for (const int index : TopIndices(curr_scores, s.beam)) {
      const int from = index / kToyVocabulary;
      seqs.push_back(alive_seq[from]);
      seqs.back().push_back(index % kToyVocabulary);
      topk_scores.push_back(curr_scores[index]);
      coverages.push_back(coverage[from]);
    }
    alive_seq = seqs;
    coverage = coverages;
    prev_penalty.clear();
    for (int b = 0; b < s.beam; ++b) {
      topk_log_probs[b] = topk_scores[b] * length_penalty;
      prev_penalty.push_back(step == 1 ? 0 : CoverageOf(s, coverage[b]));
      if (!s.stepwise_penalty) topk_scores[b] -= CoverageOf(s, coverage[b]);
    }
    bool any = false;
    std::vector<bool> is_finished;
    for (int b = 0; b < s.beam; ++b) {
      is_finished.push_back(alive_seq[b].back() == kToyEos || step == s.max_length);
      any = any || is_finished[b];
      if (!is_finished[b]) continue;
      topk_log_probs[b] = -1e10;
      hypotheses.push_back({alive_seq[b], topk_scores[b]});
    }
    top_beam_finished = is_finished[0] || (top_beam_finished && s.stop != OpenNmtSettings::Stop::kTopEnds);
    const int needed = s.stop == OpenNmtSettings::Stop::kTopEndedAndBeam ? s.beam : s.n_best;
    if (any && top_beam_finished && static_cast<int>(hypotheses.size()) >= needed) break;
  }
  return Best(hypotheses, s.n_best);
}

LoopHypotheses OldOpenNmtLoop(const ToyModel& model, const OpenNmtSettings& s) {
  std::vector<Prefix> beam = {{}};
  std::vector<double> scores = {0}, prev_penalty;
  std::vector<std::vector<double>> coverage = {std::vector<double>(kToySource, 0.0)};
  bool eos_top = false;
  LoopHypotheses finished;
  const auto score = [&](int b) {  // GNMTGlobalScorer.score; len(next_ys) counts the start token
    const double normalized = scores[b] / LengthPenalty(s, static_cast<int>(beam[b].size()) + 1);
    return s.stepwise_penalty ? normalized : normalized - CoverageOf(s, coverage[b]);
  };
  for (int i = 0; i < s.max_length && !(eos_top && static_cast<int>(finished.size()) >= s.n_best); ++i) {
    std::vector<double> beam_scores;
    std::size_t failed = 0;
    for (std::size_t b = 0; b < beam.size(); ++b) {
      const std::vector<float> attn = model.Weights(beam[b]);
      if (s.stepwise_penalty && !prev_penalty.empty()) {
        scores[b] += prev_penalty[b] - CoverageOf(s, Plus(coverage[b], attn));
      }
      coverage[b] = Plus(coverage[b], attn);
      std::set<Prefix> ngrams;
      bool fail = false;
      for (std::size_t t = 0; s.block_ngram_repeat > 0 && t < beam[b].size(); ++t) {
        const std::size_t n = std::min<std::size_t>(t + 1, s.block_ngram_repeat);
        fail = !ngrams
                    .insert(Prefix(beam[b].begin() + static_cast<std::ptrdiff_t>(t + 1 - n),
                                   beam[b].begin() + static_cast<std::ptrdiff_t>(t + 1)))
                    .second ||
               fail;
      }
      failed += fail;
      const bool ended = !beam[b].empty() && beam[b].back() == kToyEos;
      const std::vector<float> word_probs = model.LogProbabilities(beam[b]);
      for (TokenId id = 0; id < kToyVocabulary; ++id) {
        double x = id == kToyEos && i + 1 < s.min_length ? -1e20 : word_probs[id];
        x += scores[b];
        if (ended) x = -1e20;
        if (fail) x = -1e21;
        beam_scores.push_back(x);
      }
    }
    if (failed == beam.size()) break;  // it would go on with arbitrary tokens
    std::vector<Prefix> next;
    std::vector<std::vector<double>> coverages;
    scores.clear();
    for (const int index : TopIndices(beam_scores, s.beam)) {
      next.push_back(beam[index / kToyVocabulary]);
      next.back().push_back(index % kToyVocabulary);
      coverages.push_back(coverage[index / kToyVocabulary]);
      scores.push_back(beam_scores[index]);
    }
    beam = next;
    coverage = coverages;
    prev_penalty.clear();
    for (int b = 0; b < s.beam; ++b) {
      prev_penalty.push_back(i == 0 ? 0 : CoverageOf(s, coverage[b]));
      if (beam[b].back() == kToyEos) finished.push_back({beam[b], score(b)});
    }
    eos_top = eos_top || beam[0].back() == kToyEos;
  }
  for (int b = 0; static_cast<int>(finished.size()) < s.n_best; ++b) finished.push_back({beam[b], score(b)});
  return Best(finished, s.n_best);
}

LoopHypotheses JoeyLoop(const ToyModel& model, const JoeySettings& s) {
  std::vector<Prefix> alive_seq(s.beam);
  std::vector<double> topk_log_probs(s.beam, -kInfinity);
  topk_log_probs[0] = 0;
  std::vector<bool> is_finished(s.beam, false);
  LoopHypotheses hypotheses;
  for (int step = 0; step < s.max_output_length; ++step) {
    const double length_penalty = s.alpha > 0 ? std::pow((5.0 + (step + 1)) / 6.0, s.alpha) : 1;
    std::vector<double> curr_scores;
    for (int b = 0; b < s.beam; ++b) {
      const std::vector<float> log_probs = model.LogProbabilities(alive_seq[b]);
      for (TokenId id = 0; id < kToyVocabulary; ++id) {
        const bool forbidden = id == kToyStart || id == kToyPad || (id == kToyEos && step < s.min_output_length);
        curr_scores.push_back(forbidden ? -kInfinity : (log_probs[id] + topk_log_probs[b]) / length_penalty);
      }
    }
    std::vector<Prefix> predictions;
    std::vector<double> topk_scores;
    const bool last = step + 1 == s.max_output_length;
    for (const int index : TopIndices(curr_scores, s.beam)) {
      const int place = static_cast<int>(predictions.size());
      predictions.push_back(alive_seq[index / kToyVocabulary]);
      predictions.back().push_back(index % kToyVocabulary);
      topk_scores.push_back(curr_scores[index]);
      topk_log_probs[place] = curr_scores[index] * length_penalty;
      const bool ends = index % kToyVocabulary == kToyEos;
      is_finished[place] = ends || last || (s.all_places && (is_finished[place] || topk_scores[place] == -kInfinity));
    }
    alive_seq = predictions;
    const bool end_condition =
        s.all_places ? std::count(is_finished.begin(), is_finished.end(), true) == s.beam : is_finished[0];
    for (int j = 0; j < s.beam; ++j) {
      if (!is_finished[j] && !end_condition) continue;
      const auto n_eos = std::count(predictions[j].begin(), predictions[j].end(), kToyEos);
      const bool stored =
          s.all_places ? (n_eos == 0 && last) || (n_eos == 1 && predictions[j].back() == kToyEos) : n_eos < 2;
      if (stored && topk_scores[j] != -kInfinity) hypotheses.push_back({predictions[j], topk_scores[j]});
    }
    if (end_condition) break;
  }
  hypotheses = Best(hypotheses, s.n_best);
  for (LoopHypothesis& h : hypotheses) {  // what is read as text ends at the first </s>
    const auto eos = std::find(h.tokens.begin(), h.tokens.end(), kToyEos);
    if (eos != h.tokens.end()) h.tokens.erase(eos + 1, h.tokens.end());
  }
  return hypotheses;
}

}  // namespace heed
