#include "engine/search/search.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace heed {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();

}  // namespace

Search::Search(const SearchOptions& options, TokenId start, TokenId eos)
    : options_(options),
      eos_(eos),
      width_(options.beam_size),
      candidates_(options.beam_size == 1 ? 1 : 2 * options.beam_size),
      max_steps_(options.max_length) {
  Reserve();
  history_[0].input = start;
}

Search::Search(const std::vector<TokenId>& forced, TokenId start, TokenId eos)
    : eos_(eos), forced_(forced), width_(1), candidates_(1), max_steps_(static_cast<int>(forced.size())) {
  Reserve();
  history_[0].input = start;
}

void Search::Reserve() {
  history_.resize(static_cast<std::size_t>(max_steps_) * width_);
  pool_.reserve(static_cast<std::size_t>(width_) * candidates_);
  ended_.reserve(2 * static_cast<std::size_t>(width_));
  prefix_.reserve(max_steps_);
}

absl::Span<const Search::Row> Search::rows() const {
  if (done_) return {};
  return {&history_[static_cast<std::size_t>(step_) * width_], static_cast<std::size_t>(live_)};
}

bool Search::constrains() const {
  return options_.repetition_penalty != 1 || (options_.no_repeat_ngram_size > 0 && step_ > 0) ||
         step_ < options_.min_length;
}

void Search::ReadPrefix(int row) {
  prefix_.clear();
  for (int t = step_; t > 0; --t) {
    const Row& at = RowAt(t, row);
    prefix_.push_back(at.input);
    row = at.parent;
  }
  std::reverse(prefix_.begin(), prefix_.end());
}

void Search::Constrain(int row, absl::Span<float> log_probabilities) {
  ReadPrefix(row);
  const int length = static_cast<int>(prefix_.size());
  if (options_.repetition_penalty != 1) {
    for (int i = 0; i < length; ++i) {
      // Once per distinct token, however often it stands in the prefix.
      if (std::find(prefix_.begin(), prefix_.begin() + i, prefix_[i]) != prefix_.begin() + i) continue;
      log_probabilities[prefix_[i]] *= options_.repetition_penalty;
    }
  }
  const int n = options_.no_repeat_ngram_size;
  if (n > 0 && length >= n - 1) {
    const auto tail = prefix_.end() - (n - 1);
    for (int i = 0; i + n <= length; ++i) {
      if (std::equal(tail, prefix_.end(), prefix_.begin() + i)) log_probabilities[prefix_[i + n - 1]] = kBanned;
    }
  }
  if (step_ < options_.min_length) log_probabilities[eos_] = kBanned;
}

float Search::Normalised(float score, int length) const {
  switch (options_.length_normalization) {
    case LengthNormalization::kNone:
      return score;
    case LengthNormalization::kAverage:
      return score / std::pow(static_cast<float>(length), options_.length_alpha);
    case LengthNormalization::kGnmt:
      return score / std::pow((5.0f + length) / 6.0f, options_.length_alpha);
  }
  return score;
}

void Search::End(const Candidate& last, bool eos) {
  ended_.push_back({step_, last, Normalised(last.score, step_ + 1), eos});
}

void Search::Collect(const ScoredToken* best, const int* found) {
  pool_.clear();
  for (int row = 0; row < live_; ++row) {
    const Row& from = RowAt(step_, row);
    if (options_.repetition_penalty != 1) ReadPrefix(row);
    for (int i = 0; i < found[row]; ++i) {
      const ScoredToken& c = best[row * candidates_ + i];
      // The reported log-probability is the model's own, without the penalty.
      const bool penalised =
          options_.repetition_penalty != 1 && std::find(prefix_.begin(), prefix_.end(), c.token) != prefix_.end();
      const float own = penalised ? c.value / options_.repetition_penalty : c.value;
      pool_.push_back({row, c.token, own, from.total + own, from.score + c.value});
    }
  }
  std::sort(pool_.begin(), pool_.end(), [](const Candidate& a, const Candidate& b) {
    if (a.score != b.score) return a.score > b.score;
    return a.row != b.row ? a.row < b.row : a.token < b.token;
  });
}

void Search::Advance(const ScoredToken* best, const int* found) {
  Collect(best, found);
  const bool last_step = step_ + 1 == max_steps_;
  int next = 0;
  const int considered = std::min<int>(static_cast<int>(pool_.size()), 2 * width_);
  for (int i = 0; i < considered && next < width_; ++i) {
    const Candidate& c = pool_[i];
    if (last_step) {
      if (i < width_) End(c, c.token == eos_);
    } else if (forced_.empty() && c.token == eos_) {
      if (i < width_) End(c, true);
    } else {
      history_[static_cast<std::size_t>(step_ + 1) * width_ + next++] = {c.row, c.token, c.log_probability, c.total,
                                                                         c.score};
    }
  }
  if (next == 0 && ended_.empty()) {
    // Every continuation is banned: end with what there is, as if at max_length.
    const Row& row = RowAt(step_, 0);
    End({0, eos_, kBanned, row.total, row.score}, false);
    --ended_.back().step;
  }
  live_ = next;
  ++step_;
  done_ = last_step || next == 0 || static_cast<int>(ended_.size()) >= width_;
}

std::vector<Search::Result> Search::Results() const {
  std::vector<Ended> order = ended_;
  std::stable_sort(order.begin(), order.end(), [](const Ended& a, const Ended& b) { return a.score > b.score; });
  if (static_cast<int>(order.size()) > options_.n_best) order.resize(options_.n_best);
  std::vector<Result> results;
  for (const Ended& ended : order) {
    Result result;
    result.log_probability = ended.last.total;
    result.score = ended.score;
    result.ended_by_eos = ended.eos;
    int row = ended.last.row;
    // A dead end has no last token of its own: its row's input is the last.
    const bool dead_end = ended.last.log_probability == kBanned;
    int step = dead_end ? ended.step + 1 : ended.step;
    if (!dead_end) {
      result.tokens.push_back(ended.last.token);
      result.log_probabilities.push_back(ended.last.log_probability);
      result.lineage.push_back(row);
    }
    for (; step > 0; --step) {
      const Row& at = RowAt(step, row);
      result.tokens.push_back(at.input);
      result.log_probabilities.push_back(at.log_probability);
      result.lineage.push_back(at.parent);
      row = at.parent;
    }
    std::reverse(result.tokens.begin(), result.tokens.end());
    std::reverse(result.log_probabilities.begin(), result.log_probabilities.end());
    std::reverse(result.lineage.begin(), result.lineage.end());
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace heed
