// What a search tells before it is over, and what it gives when it is stopped: over all policies, stops, widths and
// penalties, on models of no weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "tests/engine/search/toy_model.h"

namespace heed {
namespace {

constexpr int kLongest = 9;

std::string Joined(const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) text.append(" ").append(std::to_string(token));
  return text;
}

// Over every policy, stop and fate of the unfinished, with penalties that vary.
void ForEachSearch(const std::function<void(const ToyModel&, const SearchOptions&, const std::string& where)>& run) {
  for (int variant = 0; variant < 6 * 8 * 3 * 10; ++variant) {
    const int round = variant / (6 * 8 * 3);
    SearchOptions options{.beam_size = 1 + round % 5, .max_length = kLongest - round % 3};
    options.beam_policy = static_cast<BeamPolicy>(variant % 6);
    options.beam_stop = static_cast<BeamStop>(variant / 6 % 8);
    options.unfinished = static_cast<UnfinishedPolicy>(variant / 48 % 3);
    options.n_best = 1 + round % options.beam_size;
    options.length_normalization = static_cast<LengthNormalization>(round % 3);
    options.length_every_step = round % 2 == 1;
    options.late_end_scores = round % 4 == 3;
    options.no_repeat_ngram_size = round % 6 == 4 ? 2 : 0;
    options.no_repeat_ngram_drops = round % 12 == 4;
    options.min_length = round % 7 == 0 ? 2 : 0;
    if (round % 3 == 2) {
      options.coverage_penalty = round % 2 == 0 ? CoveragePenalty::kWu : CoveragePenalty::kSummary;
      options.coverage_beta = 0.4F;
      options.coverage_every_step = round % 4 == 1;
    }
    run({static_cast<unsigned>(variant), static_cast<float>(round % 4) - 1}, options,
        "variant " + std::to_string(variant));
    if (testing::Test::HasFatalFailure()) return;
  }
}

void ExpectBeginsWith(const Search::Result& result, const Search::Result& told, const std::string& where) {
  const std::size_t n = told.tokens.size();
  ASSERT_GE(result.tokens.size(), n) << where;
  const auto begins = [n](const auto& all, const auto& part) {
    return part.size() == n && std::equal(part.begin(), part.end(), all.begin());
  };
  ASSERT_TRUE(begins(result.tokens, told.tokens))
      << where << ": told" << Joined(told.tokens) << ", got" << Joined(result.tokens);
  ASSERT_TRUE(begins(result.log_probabilities, told.log_probabilities)) << where;
  ASSERT_TRUE(begins(result.lineage, told.lineage)) << where;
}

void Append(const Search::Result& fresh, Search::Result* told) {
  told->tokens.insert(told->tokens.end(), fresh.tokens.begin(), fresh.tokens.end());
  told->log_probabilities.insert(told->log_probabilities.end(), fresh.log_probabilities.begin(),
                                 fresh.log_probabilities.end());
  told->lineage.insert(told->lineage.end(), fresh.lineage.begin(), fresh.lineage.end());
}

TEST(SettledTokens, AreWhatTheBestResultBeginsWithWhetherItEndsOrIsStopped) {
  int early = 0;
  ForEachSearch([&early](const ToyModel& model, const SearchOptions& options, const std::string& where) {
    Search search(options, kToyStart, kToyEos, kToySource);
    std::vector<Prefix> prefixes = {{}};
    Search::Result told;
    while (!search.done()) {
      StepSearch(model, &search, &prefixes);
      if (search.done()) break;
      Append(search.Settled(static_cast<int>(told.tokens.size())), &told);
      if (options.beam_size == 1 && options.beam_policy != BeamPolicy::kGoOn) {
        ASSERT_EQ(static_cast<int>(told.tokens.size()), search.steps()) << where;
      }
      if (options.beam_size > 1) early += static_cast<int>(told.tokens.size());
      Search stopped = search;
      stopped.Stop();
      ASSERT_TRUE(stopped.done() && stopped.stopped()) << where;
      ASSERT_NO_FATAL_FAILURE(ExpectBeginsWith(stopped.Results().at(0), told, where + ", stopped"));
    }
    EXPECT_FALSE(search.stopped());
    const Search::Result best = search.Results().at(0);
    ASSERT_NO_FATAL_FAILURE(ExpectBeginsWith(best, told, where));
    Append(search.Settled(static_cast<int>(told.tokens.size())), &told);
    ASSERT_EQ(told.tokens, best.tokens) << where;
    ASSERT_NO_FATAL_FAILURE(ExpectBeginsWith(best, told, where));
  });
  EXPECT_GT(early, 1000) << "hardly anything is told before the end";
}

TEST(SettledTokens, AreAllThatTheLiveRowsShareWhereNoneHasEnded) {
  int checked = 0;
  ForEachSearch([&checked](const ToyModel& model, SearchOptions options, const std::string& where) {
    options.min_length = kLongest;
    Search search(options, kToyStart, kToyEos, kToySource);
    std::vector<Prefix> prefixes = {{}};
    while (!search.done()) {
      StepSearch(model, &search, &prefixes);
      std::vector<Prefix> live;
      for (const Search::Row& row : search.rows()) {
        live.push_back(prefixes[row.parent]);
        live.back().push_back(row.input);
      }
      if (live.empty()) break;
      std::size_t shared = 0;
      while (shared < live[0].size() &&
             std::all_of(live.begin(), live.end(), [&](const Prefix& p) { return p[shared] == live[0][shared]; })) {
        ++shared;
      }
      ASSERT_EQ(search.Settled(0).tokens.size(), shared) << where;
      ++checked;
    }
  });
  EXPECT_GT(checked, 8000);
}

// To be stopped is to have reached a max_length at which the unfinished count, whatever the search's own policy is.
TEST(StoppedSearch, HasTheResultsOfOneWhoseMaxLengthItIs) {
  int compared = 0, cut = 0;
  ForEachSearch([&](const ToyModel& model, const SearchOptions& options, const std::string& where) {
    for (int steps = 1; steps < options.max_length; ++steps) {
      Search search(options, kToyStart, kToyEos, kToySource);
      std::vector<Prefix> prefixes = {{}};
      while (!search.done() && search.steps() < steps) StepSearch(model, &search, &prefixes);
      if (search.done()) return;
      search.Stop();
      EXPECT_TRUE(search.rows().empty());
      SearchOptions shorter = options;
      shorter.max_length = steps;
      shorter.unfinished = UnfinishedPolicy::kCount;
      const auto wanted = RunSearch(model, shorter), found = search.Results();
      ASSERT_EQ(found.size(), wanted.size()) << where;
      for (std::size_t i = 0; i < found.size(); ++i) {
        ASSERT_EQ(Joined(found[i].tokens), Joined(wanted[i].tokens)) << where << " at " << steps << ", result " << i;
        ASSERT_EQ(found[i].score, wanted[i].score) << where;
        ASSERT_EQ(found[i].log_probability, wanted[i].log_probability) << where;
        ASSERT_EQ(found[i].ended_by_eos, found[i].tokens.back() == kToyEos) << where;
        cut += found[i].ended_by_eos ? 0 : 1;
        ++compared;
      }
    }
  });
  EXPECT_GT(compared, 4000);
  EXPECT_GT(cut, 1000);
  EXPECT_LT(cut, compared);
}

TEST(StoppedSearch, HasNoResultsBeforeItsFirstStep) {
  Search search(SearchOptions{.beam_size = 3, .n_best = 2}, kToyStart, kToyEos);
  EXPECT_FALSE(search.Settle());
  search.Stop();
  EXPECT_TRUE(search.done());
  EXPECT_TRUE(search.Results().empty());
  EXPECT_TRUE(search.Settled(0).tokens.empty());
}

TEST(StoppedSearch, KeepsWhatItWasForcedToSoFar) {
  const std::vector<TokenId> forced = {7, kToyEos, 8, 5};
  Search search(forced, kToyStart, kToyEos);
  for (const TokenId token : {7, kToyEos}) {
    const ScoredToken offered{token, -1};
    const int found = 1;
    search.Advance(&offered, &found);
    EXPECT_TRUE(search.Settle());
  }
  EXPECT_EQ(search.Settled(1).tokens, std::vector<TokenId>({kToyEos}));
  search.Stop();
  const auto results = search.Results();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].tokens, std::vector<TokenId>({7, kToyEos}));
  EXPECT_FLOAT_EQ(results[0].log_probability, -2);
  EXPECT_FALSE(results[0].ended_by_eos);
}

TEST(StoppedSearch, LeavesOneThatIsDoneAlone) {
  Search search(SearchOptions{.max_length = 1}, kToyStart, kToyEos);
  const ScoredToken offered{7, -1};
  const int found = 1;
  search.Advance(&offered, &found);
  search.Stop();
  EXPECT_FALSE(search.stopped());
  EXPECT_EQ(search.Results().size(), 1u);
}

}  // namespace
}  // namespace heed
