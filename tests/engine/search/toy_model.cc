#include "tests/engine/search/toy_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace heed {
namespace {

std::mt19937 Generator(unsigned seed, const Prefix& prefix) {
  std::vector<unsigned> seeds = {seed, static_cast<unsigned>(prefix.size())};
  seeds.insert(seeds.end(), prefix.begin(), prefix.end());
  std::seed_seq sequence(seeds.begin(), seeds.end());
  return std::mt19937(sequence);
}

// exp(x) / sum of exp(x).
std::vector<double> Softmax(std::vector<double> x) {
  double sum = 0;
  for (double& v : x) sum += v = std::exp(v);
  for (double& v : x) v /= sum;
  return x;
}

std::vector<double> Normals(std::mt19937 generator, int n, double deviation) {
  std::normal_distribution<double> normal(0, deviation);
  std::vector<double> x(n);
  for (double& v : x) v = normal(generator);
  return x;
}

}  // namespace

std::vector<float> ToyModel::LogProbabilities(const Prefix& prefix) const {
  std::vector<double> logits = Normals(Generator(seed, prefix), kToyVocabulary, 1.2);
  logits[kToyEos] += eos_bonus;
  std::vector<float> result;
  for (const double p : Softmax(std::move(logits))) result.push_back(static_cast<float>(std::log(p)));
  return result;
}

std::vector<float> ToyModel::Weights(const Prefix& prefix) const {
  const std::vector<double> weights = Softmax(Normals(Generator(seed + 1000000, prefix), kToySource, 1.5));
  return {weights.begin(), weights.end()};
}

void StepSearch(const ToyModel& model, Search* search, std::vector<Prefix>* prefixes, void (*watch)(bool)) {
  const auto watching = [watch](bool on) {
    if (watch != nullptr) watch(on);
  };
  const auto rows = search->rows();
  const int k = search->candidates_per_row();
  if (search->steps() > 0) {
    std::vector<Prefix> next;
    for (const Search::Row& row : rows) {
      next.push_back((*prefixes)[row.parent]);
      next.back().push_back(row.input);
    }
    *prefixes = next;
  }
  std::vector<ScoredToken> best(rows.size() * k);
  std::vector<int> found(rows.size());
  const bool constrains = search->constrains();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<float> x = model.LogProbabilities((*prefixes)[i]);
    const std::vector<float> weights = model.Weights((*prefixes)[i]);
    watching(true);
    if (search->wants_attention()) search->Attended(static_cast<int>(i), weights);
    if (constrains && search->forced_token() < 0) search->Constrain(static_cast<int>(i), absl::MakeSpan(x));
    watching(false);
    std::vector<ScoredToken> offered;
    if (const TokenId forced = search->forced_token(); forced >= 0) {
      offered = {{forced, x[forced]}};
    } else {
      for (TokenId id = 0; id < kToyVocabulary; ++id) {
        if (x[id] > -std::numeric_limits<float>::infinity()) offered.push_back({id, x[id]});
      }
      std::stable_sort(offered.begin(), offered.end(),
                       [](const ScoredToken& a, const ScoredToken& b) { return a.value > b.value; });
    }
    found[i] = std::min<int>(k, static_cast<int>(offered.size()));
    std::copy_n(offered.begin(), found[i], best.begin() + static_cast<std::ptrdiff_t>(i * k));
  }
  watching(true);
  search->Advance(best.data(), found.data());
  search->Settle();
  watching(false);
}

std::vector<Search::Result> RunSearch(const ToyModel& model, const SearchOptions& options, void (*watch)(bool)) {
  Search search(options, kToyStart, kToyEos, kToySource);
  std::vector<Prefix> prefixes = {{}};
  while (!search.done()) StepSearch(model, &search, &prefixes, watch);
  return search.Results();
}

}  // namespace heed
