// Search as arithmetic: tables of scores in, rows and hypotheses out.
#include "engine/search/search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace heed {
namespace {

using testing::ElementsAre;
using testing::FloatEq;

constexpr TokenId kStart = 1, kEos = 2;

// Offers each row's candidates, padding what is not given.
void Offer(Search& search, const std::vector<std::vector<ScoredToken>>& rows) {
  const int k = search.candidates_per_row();
  std::vector<ScoredToken> best(rows.size() * k);
  std::vector<int> found;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    ASSERT_LE(static_cast<int>(rows[r].size()), k);
    std::copy(rows[r].begin(), rows[r].end(), best.begin() + static_cast<std::ptrdiff_t>(r * k));
    found.push_back(static_cast<int>(rows[r].size()));
  }
  search.Advance(best.data(), found.data());
}

std::vector<TokenId> Inputs(const Search& search) {
  std::vector<TokenId> inputs;
  for (const Search::Row& row : search.rows()) inputs.push_back(row.input);
  return inputs;
}

std::vector<int> Parents(const Search& search) {
  std::vector<int> parents;
  for (const Search::Row& row : search.rows()) parents.push_back(row.parent);
  return parents;
}

TEST(GreedySearch, FollowsTheBestTokenToEos) {
  Search search(SearchOptions{.max_length = 9}, kStart, kEos);
  EXPECT_THAT(Inputs(search), ElementsAre(kStart));
  EXPECT_THAT(Parents(search), ElementsAre(-1));
  Offer(search, {{{7, -0.5f}}});
  EXPECT_THAT(Inputs(search), ElementsAre(7));
  Offer(search, {{{kEos, -0.25f}}});
  ASSERT_TRUE(search.done());
  EXPECT_TRUE(search.rows().empty());
  const auto results = search.Results();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_THAT(results[0].tokens, ElementsAre(7, kEos));
  EXPECT_THAT(results[0].log_probabilities, ElementsAre(-0.5f, -0.25f));
  EXPECT_FLOAT_EQ(results[0].log_probability, -0.75f);
  EXPECT_TRUE(results[0].ended_by_eos);
}

TEST(GreedySearch, StopsAtMaxLengthAndSaysSo) {
  Search search(SearchOptions{.max_length = 2}, kStart, kEos);
  Offer(search, {{{7, -1}}});
  Offer(search, {{{8, -1}}});
  ASSERT_TRUE(search.done());
  EXPECT_THAT(search.Results()[0].tokens, ElementsAre(7, 8));
  EXPECT_FALSE(search.Results()[0].ended_by_eos);
}

TEST(GreedySearch, CallsALastTokenThatIsEosEos) {
  Search search(SearchOptions{.max_length = 1}, kStart, kEos);
  Offer(search, {{{kEos, -1}}});
  EXPECT_TRUE(search.Results()[0].ended_by_eos);
}

TEST(BeamSearch, KeepsTheBestContinuationsOfAllRowsAndTheirLineage) {
  Search search(SearchOptions{.beam_size = 2, .n_best = 2, .max_length = 9}, kStart, kEos);
  Offer(search, {{{7, -1}, {8, -2}, {9, -3}}});
  EXPECT_THAT(Inputs(search), ElementsAre(7, 8));
  EXPECT_THAT(Parents(search), ElementsAre(0, 0));
  // Row 0 (7, -1): 10 at -4. Row 1 (8, -2): 11 at -2.5, 12 at -2.7.
  Offer(search, {{{10, -3}}, {{11, -0.5f}, {12, -0.7f}}});
  EXPECT_THAT(Inputs(search), ElementsAre(11, 12));
  EXPECT_THAT(Parents(search), ElementsAre(1, 1));
  Offer(search, {{{kEos, -1}}, {{kEos, -0.1f}}});
  ASSERT_TRUE(search.done());
  const auto results = search.Results();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_THAT(results[0].tokens, ElementsAre(8, 12, kEos));
  EXPECT_THAT(results[0].lineage, ElementsAre(0, 1, 1));
  EXPECT_THAT(results[1].tokens, ElementsAre(8, 11, kEos));
  EXPECT_THAT(results[1].lineage, ElementsAre(0, 1, 0));
}

TEST(BeamSearch, EndsOnlyWhatRanksWithinTheBeamAndGoesOnWithTheRest) {
  Search search(SearchOptions{.beam_size = 2, .n_best = 2, .max_length = 9}, kStart, kEos);
  // </s> ranks third of four: it is no hypothesis.
  Offer(search, {{{7, -1}, {8, -1.5f}, {kEos, -1.7f}, {9, -2}}});
  EXPECT_THAT(Inputs(search), ElementsAre(7, 8));
  // </s> ranks first: finished, and two others go on.
  Offer(search, {{{kEos, -0.1f}, {10, -1}}, {{11, -1}, {12, -3}}});
  EXPECT_FALSE(search.done());
  EXPECT_THAT(Inputs(search), ElementsAre(10, 11));
  Offer(search, {{{kEos, -0.1f}}, {{13, -9}}});
  ASSERT_TRUE(search.done());
  const auto results = search.Results();
  EXPECT_THAT(results[0].tokens, ElementsAre(7, kEos));
  EXPECT_THAT(results[1].tokens, ElementsAre(7, 10, kEos));
}

TEST(BeamSearch, RanksByTheNormalisedScore) {
  for (const auto& [normalization, expected] :
       {std::pair(LengthNormalization::kNone, -2.0f), std::pair(LengthNormalization::kPower, -1.0f),
        std::pair(LengthNormalization::kGnmt, -2.0f / (7.0f / 6.0f))}) {
    SearchOptions options{.beam_size = 2, .n_best = 2, .max_length = 9};
    options.length_normalization = normalization;
    options.length_alpha = 1;
    Search search(options, kStart, kEos);
    Offer(search, {{{kEos, -1.8f}, {7, -1.9f}}});
    Offer(search, {{{kEos, -0.1f}}});
    ASSERT_TRUE(search.done());
    const auto results = search.Results();
    const bool longer_first = normalization != LengthNormalization::kNone;
    EXPECT_THAT(results[longer_first ? 0 : 1].score, FloatEq(expected));
    EXPECT_EQ(results[0].tokens.size(), longer_first ? 2u : 1u);
  }
}

TEST(BeamSearch, FinishesWhatIsAliveAtMaxLength) {
  Search search(SearchOptions{.beam_size = 2, .n_best = 2, .max_length = 2}, kStart, kEos);
  Offer(search, {{{7, -1}, {8, -2}}});
  Offer(search, {{{9, -1}, {kEos, -1.5f}}, {{10, -0.2f}}});
  ASSERT_TRUE(search.done());
  const auto results = search.Results();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_THAT(results[0].tokens, ElementsAre(7, 9));
  EXPECT_THAT(results[1].tokens, ElementsAre(8, 10));
}

TEST(BeamSearch, ReturnsAtMostNBest) {
  Search search(SearchOptions{.beam_size = 3, .n_best = 1, .max_length = 1}, kStart, kEos);
  Offer(search, {{{7, -1}, {8, -2}, {9, -3}}});
  EXPECT_EQ(search.Results().size(), 1u);
}

TEST(BeamSearch, EndsWithWhatItHasWhenEveryContinuationIsBanned) {
  Search search(SearchOptions{.beam_size = 2, .n_best = 2, .max_length = 5}, kStart, kEos);
  Offer(search, {{{7, -1}}});
  Offer(search, {{}});
  ASSERT_TRUE(search.done());
  const auto results = search.Results();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_THAT(results[0].tokens, ElementsAre(7));
  EXPECT_THAT(results[0].lineage, ElementsAre(0));
  EXPECT_FALSE(results[0].ended_by_eos);
}

TEST(Constraints, AreOffUnlessAskedFor) {
  Search search(SearchOptions{.max_length = 5}, kStart, kEos);
  EXPECT_FALSE(search.constrains());
}

TEST(Constraints, BanEosBeforeMinLength) {
  Search search(SearchOptions{.min_length = 1, .max_length = 5}, kStart, kEos);
  ASSERT_TRUE(search.constrains());
  std::vector<float> x(12, -1);
  search.Constrain(0, absl::MakeSpan(x));
  EXPECT_EQ(x[kEos], -std::numeric_limits<float>::infinity());
  EXPECT_EQ(x[3], -1);
  Offer(search, {{{7, -1}}});
  EXPECT_FALSE(search.constrains());
}

TEST(Constraints, PenaliseEachTokenOfTheRowOnceAndReportTheModelsOwnProbability) {
  Search search(SearchOptions{.max_length = 9, .repetition_penalty = 2}, kStart, kEos);
  Offer(search, {{{7, -1}}});
  std::vector<float> x(12, -1);
  search.Constrain(0, absl::MakeSpan(x));
  EXPECT_EQ(x[7], -2);
  EXPECT_EQ(x[8], -1);
  EXPECT_EQ(x[kStart], -1);  // what starts a sentence is not part of it
  Offer(search, {{{7, -2}}});
  x.assign(12, -1);
  search.Constrain(0, absl::MakeSpan(x));
  EXPECT_EQ(x[7], -2);
  Offer(search, {{{kEos, -1}}});
  const auto result = search.Results()[0];
  EXPECT_THAT(result.log_probabilities, ElementsAre(-1, -1, -1));
  EXPECT_FLOAT_EQ(result.log_probability, -3);
  EXPECT_FLOAT_EQ(result.score, -4);
}

TEST(Constraints, BanTokensThatWouldRepeatAnNGram) {
  Search search(SearchOptions{.max_length = 9, .no_repeat_ngram_size = 2}, kStart, kEos);
  for (const TokenId token : {7, 8, 7}) Offer(search, {{{token, -1}}});
  std::vector<float> x(12, -1);
  search.Constrain(0, absl::MakeSpan(x));
  EXPECT_EQ(x[8], -std::numeric_limits<float>::infinity());  // 7 8 was there
  EXPECT_EQ(x[7], -1);
}

TEST(ForcedSearch, ScoresTheGivenTokensAlone) {
  Search search(std::vector<TokenId>{5, 6, kEos}, kStart, kEos);
  for (const TokenId expected : {5, 6, kEos}) {
    EXPECT_EQ(search.forced_token(), expected);
    Offer(search, {{{expected, -0.5f}}});
  }
  ASSERT_TRUE(search.done());
  EXPECT_THAT(search.Results()[0].tokens, ElementsAre(5, 6, kEos));
  EXPECT_FLOAT_EQ(search.Results()[0].log_probability, -1.5f);
  EXPECT_TRUE(search.Results()[0].ended_by_eos);
}

}  // namespace
}  // namespace heed
