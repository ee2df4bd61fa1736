#include "tests/engine/search/toolkit_loops.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace heed {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// One more token on a hypothesis.
struct Extension {
  int from = 0;
  TokenId token = 0;
  double score = 0;
};

// All extensions, best first.
std::vector<Extension> Extend(const std::vector<LoopHypothesis>& alive,
                              const std::function<std::vector<double>(const Prefix&)>& distribution) {
  std::vector<Extension> all;
  for (std::size_t i = 0; i < alive.size(); ++i) {
    const std::vector<double> x = distribution(alive[i].tokens);
    for (TokenId id = 0; id < kToyVocabulary; ++id) all.push_back({static_cast<int>(i), id, alive[i].score + x[id]});
  }
  std::stable_sort(all.begin(), all.end(), [](const Extension& a, const Extension& b) { return a.score > b.score; });
  return all;
}

LoopHypothesis With(const std::vector<LoopHypothesis>& alive, const Extension& e) {
  LoopHypothesis hypothesis{alive[e.from].tokens, e.score};
  hypothesis.tokens.push_back(e.token);
  return hypothesis;
}

std::vector<double> Doubles(const std::vector<float>& x) { return {x.begin(), x.end()}; }

LoopHypotheses BestFirst(LoopHypotheses hypotheses) {
  std::stable_sort(hypotheses.begin(), hypotheses.end(),
                   [](const LoopHypothesis& a, const LoopHypothesis& b) { return a.score > b.score; });
  return hypotheses;
}

}  // namespace

LoopHypotheses FairseqLoop(const ToyModel& model, const FairseqSettings& s) {
  LoopHypotheses alive = {{}}, finalized;
  for (int step = 0; step <= s.max_len; ++step) {
    const auto all = Extend(alive, [&](const Prefix& prefix) {
      std::vector<double> lprobs = Doubles(model.LogProbabilities(prefix));
      lprobs[kToyPad] = kNever;
      lprobs[kToyUnk] -= s.unkpen;
      for (TokenId id = 0; step >= s.max_len && id < kToyVocabulary; ++id) {
        if (id != kToyEos) lprobs[id] = kNever;
      }
      if (step < s.min_len) lprobs[kToyEos] = kNever;
      const int n = s.no_repeat_ngram_size, length = static_cast<int>(prefix.size());
      for (int i = 0; n > 1 && i + n <= length; ++i) {
        if (std::equal(prefix.begin() + i, prefix.begin() + i + n - 1, prefix.end() - (n - 1))) {
          lprobs[prefix[i + n - 1]] = kNever;
        }
      }
      return lprobs;
    });
    LoopHypotheses next;
    for (int i = 0; i < std::min<int>(2 * s.beam, static_cast<int>(all.size())); ++i) {
      const bool ends = all[i].token == kToyEos && all[i].score != kNever;
      if (ends && i < s.beam && static_cast<int>(finalized.size()) < s.beam) {
        finalized.push_back(With(alive, all[i]));
        finalized.back().score /= std::pow(step + 1, s.lenpen);
      }
      if (!ends && static_cast<int>(next.size()) < s.beam) next.push_back(With(alive, all[i]));
    }
    if (static_cast<int>(finalized.size()) == s.beam) break;
    alive = next;
  }
  return BestFirst(finalized);
}

LoopHypotheses MarianLoop(const ToyModel& model, const MarianSettings& s) {
  LoopHypotheses beam = {{}}, top;
  std::size_t width = s.beam;  // of beams[], which starts with as many copies of the start hypothesis
  for (int t = 0; width > 0; ++t) {
    const auto all = Extend(beam, [&](const Prefix& prefix) {
      std::vector<double> scores = Doubles(model.LogProbabilities(prefix));
      scores[kToyUnk] = kNever;
      return scores;
    });
    LoopHypotheses new_beam, purged;
    for (const Extension& e : all) {
      if (new_beam.size() < width && e.score != kNever) new_beam.push_back(With(beam, e));
    }
    for (const LoopHypothesis& h : new_beam) {
      if (h.tokens.back() != kToyEos) purged.push_back(h);
    }
    const int size = t + 1;  // of the history, the start beam included, before this step's is added
    const bool max_length_reached = size >= s.max_length_factor * kToySource;
    for (const LoopHypothesis& h : new_beam) {
      if (h.tokens.back() != kToyEos && !purged.empty() && !max_length_reached) continue;
      top.push_back({h.tokens, (h.score - s.word_penalty * size) / std::pow(size, s.normalize)});
    }
    if (max_length_reached) break;
    beam = purged;
    width = beam.size();
  }
  return BestFirst(top);
}

LoopHypotheses OldNematusLoop(const ToyModel& model, const NematusSettings& s) {
  LoopHypotheses alive = {{}}, sample;
  int dead_k = 0;
  for (int ii = 0; ii < s.maxlen; ++ii) {
    const auto all = Extend(alive, [&](const Prefix& prefix) {
      std::vector<double> scores = Doubles(model.LogProbabilities(prefix));
      if (s.suppress_unk) scores[kToyUnk] = kNever;
      return scores;
    });
    LoopHypotheses live;
    const int taken = s.beam - dead_k;
    for (int i = 0; i < taken && i < static_cast<int>(all.size()) && all[i].score != kNever; ++i) {
      const LoopHypothesis h = With(alive, all[i]);
      if (h.tokens.back() == kToyEos) {
        sample.push_back(h);
        ++dead_k;
      } else {
        live.push_back(h);
      }
    }
    alive = live;
    if (alive.empty() || dead_k >= s.beam) break;
  }
  sample.insert(sample.end(), alive.begin(), alive.end());
  for (LoopHypothesis& h : sample) h.score /= std::pow(h.tokens.size(), s.alpha);
  return BestFirst(sample);
}

LoopHypotheses NematusLoop(const ToyModel& model, const NematusSettings& s) {
  constexpr double kLow = -1e7;
  LoopHypotheses alive = {{}}, finished;
  // An alive hypothesis that has ended only fills its place: its extensions are as good as impossible.
  for (int time = 1; time < s.maxlen; ++time) {
    if (!finished.empty()) {
      double lowest = 0;
      for (const LoopHypothesis& h : finished) lowest = std::min(lowest, h.score);
      if (lowest > alive[0].score) break;
    }
    const auto all = Extend(alive, [&](const Prefix& prefix) {
      if (!prefix.empty() && prefix.back() == kToyEos) return std::vector<double>(kToyVocabulary, -1e30);
      return Doubles(model.LogProbabilities(prefix));
    });
    LoopHypotheses top, selected;
    for (int i = 0; i < s.beam && i < static_cast<int>(all.size()); ++i) top.push_back(With(alive, all[i]));
    for (const LoopHypothesis& h : top) {
      if (h.tokens.back() == kToyEos && h.score > kLow) finished.push_back(h);
    }
    finished = BestFirst(finished);
    if (static_cast<int>(finished.size()) > s.beam) finished.resize(s.beam);
    std::stable_partition(top.begin(), top.end(), [](const LoopHypothesis& h) { return h.tokens.back() != kToyEos; });
    alive = top;
  }
  LoopHypotheses results = finished.empty() ? alive : finished;
  for (LoopHypothesis& h : results) h.score /= std::pow(h.tokens.size(), s.alpha);
  return BestFirst(results);
}

LoopHypotheses SockeyeLoop(const ToyModel& model, const SockeyeSettings& s) {
  struct Item {
    Prefix tokens;  // without padding
    double score = 0;
    int length = 0;
    bool finished = false;
  };
  const auto penalty = [&](double length) {
    return std::pow(s.beta + length, s.alpha) / std::pow(s.beta + 1, s.alpha);
  };
  std::vector<Item> beam = {{}};
  if (s.each_step) beam[0].length = 1;  // of what is about to be made
  for (int t = 1; t < s.max_output_length; ++t) {
    std::vector<Item> all;
    for (const Item& item : beam) {
      if (item.finished) {
        all.push_back(item);
        continue;
      }
      const std::vector<float> x = model.LogProbabilities(item.tokens);
      for (TokenId id = 0; id < kToyVocabulary; ++id) {
        Item next = item;
        next.tokens.push_back(id);
        next.score = item.score + x[id];
        if (s.each_step) {
          const double before = t == 1 ? 0 : item.score * penalty(item.length - 1);
          next.score = (x[id] + before) / penalty(item.length);
        }
        all.push_back(next);
      }
    }
    std::stable_sort(all.begin(), all.end(), [](const Item& a, const Item& b) { return a.score > b.score; });
    all.resize(std::min<std::size_t>(all.size(), s.beam));
    bool all_finished = true, any_finished = false;
    for (Item& item : all) {
      const bool ends = !item.finished && item.tokens.back() == kToyEos;
      if (ends && !s.each_step) item.score /= penalty(item.length);
      if (!item.finished) ++item.length;
      item.finished = item.finished || ends;
      all_finished = all_finished && item.finished;
      any_finished = any_finished || item.finished;
    }
    beam = all;
    if (s.stop_first ? any_finished : all_finished) break;
  }
  LoopHypotheses results;
  for (const Item& item : beam) results.push_back({item.tokens, item.score});
  return BestFirst(results);
}

LoopHypotheses TensorFlowLoop(const ToyModel& model, const TensorFlowSettings& s) {
  struct Item {
    Prefix tokens;
    double log_prob = 0;
    int length = 0;
    bool finished = false;
    std::vector<double> attention = std::vector<double>(kToySource, 0.0);
    double score = 0;
  };
  std::vector<Item> beam = {{}};
  for (int time = 0; time < s.maximum_iterations; ++time) {
    std::vector<Item> all;
    for (const Item& item : beam) {
      const std::vector<float> x = model.LogProbabilities(item.tokens), weights = model.Weights(item.tokens);
      std::vector<double> accumulated = item.attention;
      for (int i = 0; i < kToySource && !item.finished; ++i) accumulated[i] += weights[i];
      double coverage = 0;
      for (const double a : accumulated) coverage += std::log(std::min(a == 0 ? 1 : a, 1.0));
      for (TokenId id = 0; id < kToyVocabulary; ++id) {
        if (item.finished && id != kToyEos) continue;
        Item next = item;
        next.attention = accumulated;
        if (!item.finished) {
          next.tokens.push_back(id);
          next.log_prob += x[id];
        }
        const int length = item.length + (item.finished || id == kToyEos ? 0 : 1);
        next.score = next.log_prob / std::pow((5.0 + length) / 6.0, s.length_penalty_weight);
        if (item.finished) next.score += s.coverage_penalty_weight * coverage;
        if (!item.finished) ++next.length;
        next.finished = item.finished || id == kToyEos;
        all.push_back(next);
      }
    }
    std::stable_sort(all.begin(), all.end(), [](const Item& a, const Item& b) { return a.score > b.score; });
    all.resize(std::min<std::size_t>(all.size(), s.beam));
    beam = all;
    if (std::all_of(beam.begin(), beam.end(), [](const Item& item) { return item.finished; })) break;
  }
  LoopHypotheses results;
  for (const Item& item : beam) results.push_back({item.tokens, item.score});
  return results;
}

LoopHypotheses SeeLoop(const ToyModel& model, const SeeSettings& s) {
  const auto average = [](LoopHypotheses hyps) {  // sort_hyps; tokens count [START]
    for (LoopHypothesis& h : hyps) h.score /= static_cast<double>(h.tokens.size() + 1);
    return BestFirst(hyps);
  };
  LoopHypotheses hyps = {{}}, results;
  for (int steps = 0; steps < s.max_dec_steps && static_cast<int>(results.size()) < s.beam; ++steps) {
    const auto all = Extend(hyps, [&](const Prefix& prefix) {  // all are equally long: their averages rank alike
      std::vector<double> x = Doubles(model.LogProbabilities(prefix));
      std::vector<double> sorted = x;
      std::sort(sorted.rbegin(), sorted.rend());
      const double bar = sorted[std::min(2 * s.beam, kToyVocabulary) - 1];
      for (double& v : x) v = v >= bar ? v : kNever;
      return x;
    });
    LoopHypotheses next;
    for (const Extension& e : all) {
      if (e.score == kNever) break;
      if (e.token != kToyEos) {
        next.push_back(With(hyps, e));
      } else if (steps >= s.min_dec_steps) {
        results.push_back(With(hyps, e));
      }
      if (static_cast<int>(next.size()) == s.beam || static_cast<int>(results.size()) == s.beam) break;
    }
    hyps = next;
  }
  return average(results.empty() ? hyps : results);
}

}  // namespace heed
