#include "engine/search/search.h"

#include <algorithm>
#include <limits>

#include "engine/search/score.h"

namespace heed {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();

// How many of a row's continuations can matter. With kFairseq and kWalk those that end take no place from the others;
// where an end is ranked by other rules than the rest, one more may go on in its place.
int CandidatesPerRow(const SearchOptions& options) {
  const int beam = options.beam_size;
  if (options.beam_policy == BeamPolicy::kKeep) return options.length_every_step ? beam + 1 : beam;
  const bool twice = options.beam_policy == BeamPolicy::kFairseq || options.beam_policy == BeamPolicy::kWalk;
  return twice && beam > 1 ? 2 * beam : beam;
}

template <typename T>
std::int64_t BytesOf(std::int64_t count) {
  return count * static_cast<std::int64_t>(sizeof(T));
}

}  // namespace

Search::Search(const SearchOptions& options, TokenId start, TokenId eos, int source_tokens)
    : options_(options),
      eos_(eos),
      width_(options.beam_size),
      candidates_(CandidatesPerRow(options)),
      max_steps_(options.max_length),
      coverage_(options, options.beam_size, source_tokens),
      history_(max_steps_, width_) {
  Reserve();
  history_.Step(0)->input = start;
}

Search::Search(const std::vector<TokenId>& forced, TokenId start, TokenId eos)
    : eos_(eos),
      forced_(forced),
      width_(1),
      candidates_(1),
      max_steps_(static_cast<int>(forced.size())),
      coverage_(options_, 1, 0),
      history_(max_steps_, width_) {
  Reserve();
  history_.Step(0)->input = start;
}

void Search::Reserve() {
  pool_.reserve(static_cast<std::size_t>(width_) * candidates_);
  going_.reserve(width_);
  parents_.reserve(width_);
  ended_.reserve(static_cast<std::size_t>(width_) + 1);
  places_.resize(width_);
  prefix_.reserve(max_steps_);
}

// What the constructors and Reserve make.
std::int64_t Search::Bytes(const SearchOptions& options, const std::vector<TokenId>& forced, int source_tokens) {
  const bool searches = forced.empty();
  const std::int64_t width = searches ? options.beam_size : 1;
  const std::int64_t candidates = searches ? CandidatesPerRow(options) : 1;
  const std::int64_t steps = searches ? options.max_length : static_cast<std::int64_t>(forced.size());
  const std::int64_t given = static_cast<std::int64_t>(searches ? options.banned.size() : forced.size());
  return BytesOf<TokenId>(given) + History::Bytes(steps, width) + BytesOf<Candidate>(width * candidates + width) +
         BytesOf<int>(width) + BytesOf<Ended>(width + 1) + BytesOf<char>(width) + BytesOf<TokenId>(steps) +
         (searches ? Coverage::Bytes(options, static_cast<int>(width), source_tokens) : 0);
}

absl::Span<const Search::Row> Search::rows() const {
  if (done_) return {};
  return {history_.Step(step_), static_cast<std::size_t>(live_)};
}

TokenId Search::forced_token() const {
  if (!forced_.empty()) return forced_[step_];
  return last_step() && options_.unfinished == UnfinishedPolicy::kEnd ? eos_ : -1;
}

bool Search::constrains() const {
  return options_.repetition_penalty != 1 || !options_.banned.empty() || options_.unknown_penalty != 0 ||
         (options_.no_repeat_ngram_size > 0 && !options_.no_repeat_ngram_drops && step_ > 0) ||
         step_ < options_.min_length;
}

void Search::ReadPrefix(int row) {
  prefix_.clear();
  for (History::Node node{step_, row}; node.step > 0; node = history_.Before(node)) {
    prefix_.push_back(history_.At(node).input);
  }
  std::reverse(prefix_.begin(), prefix_.end());
}

void Search::Constrain(int row, absl::Span<float> log_probabilities) {
  const int n = options_.no_repeat_ngram_drops ? 0 : options_.no_repeat_ngram_size;
  if (n > 0 || options_.repetition_penalty != 1) ReadPrefix(row);
  const int length = static_cast<int>(prefix_.size());
  if (options_.repetition_penalty != 1) {
    for (int i = 0; i < length; ++i) {
      // Once per distinct token, however often it stands in the prefix.
      if (std::find(prefix_.begin(), prefix_.begin() + i, prefix_[i]) != prefix_.begin() + i) continue;
      log_probabilities[prefix_[i]] *= options_.repetition_penalty;
    }
  }
  if (options_.unknown_penalty != 0) log_probabilities[options_.unknown] -= options_.unknown_penalty;
  if (n > 0 && length >= n - 1) {
    const auto tail = prefix_.end() - (n - 1);
    for (int i = 0; i + n <= length; ++i) {
      if (std::equal(tail, prefix_.end(), prefix_.begin() + i)) log_probabilities[prefix_[i + n - 1]] = kBanned;
    }
  }
  for (const TokenId id : options_.banned) log_probabilities[id] = kBanned;
  if (step_ < options_.min_length) log_probabilities[eos_] = kBanned;
}

// Whether the row holds its last n-gram twice.
bool Search::Drops(int row) {
  const int n = options_.no_repeat_ngram_size;
  if (!options_.no_repeat_ngram_drops || n == 0 || step_ <= n) return false;
  ReadPrefix(row);
  const auto tail = prefix_.end() - n;
  return std::search(prefix_.begin(), prefix_.end() - 1, tail, prefix_.end()) != prefix_.end() - 1;
}

float Search::Running(const Candidate& c) const {
  // OpenNMT-py's first step has no penalty yet.
  const bool covered = options_.coverage_every_step && step_ > 0;
  return covered ? c.score - coverage_.Penalty(c.row) : c.score;
}

float Search::Rank(const Candidate& c) const {
  const float running = Running(c);
  if (options_.beam_policy != BeamPolicy::kKeep || !options_.length_every_step) return running;
  if (c.token != eos_) return Normalised(options_, running, step_ + 1);
  if (options_.late_end_scores) return Normalised(options_, running, step_);
  return Normalised(options_, running, step_ + 1) - (options_.coverage_every_step ? 0 : coverage_.Penalty(c.row));
}

void Search::Collect(const ScoredToken* best, const int* found) {
  pool_.clear();
  const float penalty = options_.repetition_penalty;
  for (int row = 0; row < live_; ++row) {
    const Row& from = RowAt(row);
    if (Drops(row)) continue;
    if (penalty != 1) ReadPrefix(row);
    for (int i = 0; i < found[row]; ++i) {
      const ScoredToken& token = best[row * candidates_ + i];
      // The reported log-probability is the model's own, without the penalties.
      float own = token.value;
      if (options_.unknown_penalty != 0 && token.token == options_.unknown) own += options_.unknown_penalty;
      if (penalty != 1 && std::find(prefix_.begin(), prefix_.end(), token.token) != prefix_.end()) own /= penalty;
      Candidate c{row, token.token, own, from.total + own, from.score + token.value, 0};
      c.rank = Rank(c);
      pool_.push_back(c);
    }
  }
  std::sort(pool_.begin(), pool_.end(), [](const Candidate& a, const Candidate& b) {
    if (a.rank != b.rank) return a.rank > b.rank;
    return a.row != b.row ? a.row < b.row : a.token < b.token;
  });
}

// `last` is the last of `tokens` tokens.
void Search::End(const Candidate& last, int tokens, bool eos) {
  const float running = Running(last);
  Ended ended{tokens - 1, last, 0, Normalised(options_, running, tokens), eos};
  if (!options_.coverage_every_step) ended.final_score -= coverage_.Penalty(last.row);
  // With kKeep what has not ended has no final score: it is compared as it was in the beam.
  const bool keep = options_.beam_policy == BeamPolicy::kKeep;
  if (keep && !eos) ended.final_score = last.rank;
  ended.score = keep && options_.length_every_step ? last.rank : ended.final_score;
  if (eos) ++finished_;
  ended_.push_back(ended);
  if (static_cast<int>(ended_.size()) <= width_) return;
  // Of equals the later goes.
  const bool by_rank = options_.beam_stop == BeamStop::kFinishedLead;
  const auto worst = std::min_element(ended_.rbegin(), ended_.rend(), [by_rank](const Ended& a, const Ended& b) {
    return by_rank ? a.last.rank < b.last.rank : a.score < b.score;
  });
  ended_.erase(std::next(worst).base());
}

// The continuation at this place, best first, is among those considered.
void Search::Take(const Candidate& c, int place) {
  const bool ends = forced_.empty() && c.token == eos_;
  if (!ends) {
    if (static_cast<int>(going_.size()) < width_) going_.push_back(c);
    return;
  }
  if (options_.beam_policy == BeamPolicy::kFairseq && place >= width_) return;
  if (options_.beam_policy == BeamPolicy::kGoOn) going_.push_back(c);
  if (RowAt(c.row).ended) return;
  // fairseq takes no more than it waits for.
  const bool all_count = last_step() && options_.unfinished == UnfinishedPolicy::kCount;
  if (options_.beam_stop == BeamStop::kBeamFull && finished_ >= width_ && !all_count) return;
  End(c, step_ + 1, true);
}

void Search::Select() {
  int considered = static_cast<int>(pool_.size());
  switch (options_.beam_policy) {
    case BeamPolicy::kFairseq:
      considered = std::min(considered, 2 * width_);
      break;
    case BeamPolicy::kRefill:
    case BeamPolicy::kGoOn:
      considered = std::min(considered, width_);
      break;
    case BeamPolicy::kShrink:
      considered = std::min(considered, width_ - finished_);
      break;
    case BeamPolicy::kKeep:
      SelectKeeping();
      return;
    case BeamPolicy::kWalk:
      break;
  }
  for (int place = 0; place < considered && static_cast<int>(going_.size()) < width_; ++place) {
    Take(pool_[place], place);
    if (options_.beam_policy == BeamPolicy::kWalk && finished_ >= width_) break;
  }
}

// A stable sort, best first; the library's allocates.
void Search::SortEnded() {
  for (auto at = ended_.begin(); at != ended_.end(); ++at) {
    const auto better = [](const Ended& a, const Ended& b) { return a.score > b.score; };
    std::rotate(std::upper_bound(ended_.begin(), at, *at, better), at, std::next(at));
  }
}

// Finished hypotheses compete with the continuations for the places of the beam.
void Search::SelectKeeping() {
  for (Ended& ended : ended_) ended.score = ended.final_score;
  SortEnded();
  std::size_t kept = 0, taken = 0;
  while (static_cast<int>(kept + taken) < width_) {
    const bool has_kept = kept < ended_.size(), has_new = taken < pool_.size();
    if (has_kept && (!has_new || ended_[kept].score >= pool_[taken].rank)) {
      ++kept;
    } else if (has_new) {
      ++taken;
    } else {
      break;
    }
  }
  ended_.erase(ended_.begin() + static_cast<std::ptrdiff_t>(kept), ended_.end());
  finished_ = static_cast<int>(kept);
  for (std::size_t i = 0; i < taken; ++i) Take(pool_[i], static_cast<int>(i));
}

void Search::EndUnfinished() {
  const bool fill = options_.unfinished == UnfinishedPolicy::kFill && !stopped_;
  for (const Candidate& c : going_) {
    if (fill && static_cast<int>(ended_.size()) >= options_.n_best) return;
    // What goes on past its end has been counted.
    if (forced_.empty() && (c.token == eos_ || RowAt(c.row).ended)) continue;
    End(c, step_ + 1, c.token == eos_ && !stopped_);
  }
}

// Makes the rows of the next step.
void Search::Continue() {
  parents_.clear();
  Row* next = history_.Step(step_ + 1);
  for (const Candidate& c : going_) {
    const bool ended = forced_.empty() && (c.token == eos_ || RowAt(c.row).ended);
    *next++ = {c.row, c.token, c.log_probability, c.total, c.score, ended};
    parents_.push_back(c.row);
  }
  coverage_.Follow(parents_);
}

bool Search::Over() const {
  switch (options_.beam_stop) {
    case BeamStop::kBeamFull:
      return finished_ >= width_;
    case BeamStop::kBestEnds:
      return !pool_.empty() && pool_[0].token == eos_ && finished_ >= options_.n_best;
    case BeamStop::kBestEnded:
      return best_ended_ && finished_ >= options_.n_best;
    case BeamStop::kBestEndedAndFull:
      return best_ended_ && finished_ >= width_;
    case BeamStop::kAllEnded:
      return going_.empty();
    case BeamStop::kAnyEnded:
      return finished_ > 0;
    case BeamStop::kPlacesEnded:
      return std::all_of(places_.begin(), places_.end(), [](char ended) { return ended != 0; });
    case BeamStop::kFinishedLead:
      return std::all_of(ended_.begin(), ended_.end(), [&](const Ended& e) { return e.last.rank > going_[0].rank; }) &&
             !ended_.empty();
  }
  return true;
}

void Search::Advance(const ScoredToken* best, const int* found) {
  Collect(best, found);
  going_.clear();
  Select();
  const int considered = static_cast<int>(pool_.size());
  if (forced_.empty()) {
    best_ended_ = best_ended_ || (considered > 0 && pool_[0].token == eos_);
    for (int place = 0; place < width_; ++place) {
      if (place >= considered || pool_[place].token == eos_) places_[place] = 1;
    }
  }
  if (going_.empty() && ended_.empty()) {
    // Every continuation is banned: end with what there is, as if at max_length.
    const Row& row = RowAt(0);
    End({0, eos_, kBanned, row.total, row.score, row.score}, step_, false);
  }
  done_ = last_step() || going_.empty() || (forced_.empty() && Over());
  if (!last_step()) Continue();
  // With kKeep the results are the beam as it stands.
  if (last_step() || (done_ && options_.beam_policy == BeamPolicy::kKeep)) EndUnfinished();
  if (done_) SortEnded();
  live_ = static_cast<int>(going_.size());
  ++step_;
}

void Search::Stop() {
  if (done_) return;
  done_ = stopped_ = true;
  if (step_ == 0) return;
  // What the last step let go on is ended as of that step.
  --step_;
  EndUnfinished();
  ++step_;
  SortEnded();
}

bool Search::Settle() {
  if (done_) return false;
  // All but its last token is what an ended hypothesis shares with others.
  for (const Ended& ended : ended_) {
    if (ended.step <= settled_.step) return false;
  }
  History::Node common{-1, 0};
  const auto join = [&](History::Node node) { common = common.step < 0 ? node : history_.Meet(common, node); };
  for (int row = 0; row < live_; ++row) join({step_, row});
  for (const Ended& ended : ended_) join({ended.step, ended.last.row});
  if (common.step <= settled_.step) return false;
  settled_ = common;
  return true;
}

Search::Result Search::Settled(int begin) const {
  if (done_) return ended_.empty() ? Result() : Traced(ended_[0], begin);
  Result result;
  history_.Trace(settled_, begin, &result);
  return result;
}

// Tokens from number `begin` on.
Search::Result Search::Traced(const Ended& ended, int begin) const {
  Result result;
  result.log_probability = ended.last.total;
  result.score = ended.score;
  result.ended_by_eos = ended.eos;
  const std::size_t tokens = std::max(0, ended.step + 1 - begin);
  result.tokens.reserve(tokens);
  result.log_probabilities.reserve(tokens);
  result.lineage.reserve(tokens);
  // A dead end has no last token of its own: its row's input is the last.
  const bool dead_end = ended.last.log_probability == kBanned;
  if (!dead_end) {
    result.tokens.push_back(ended.last.token);
    result.log_probabilities.push_back(ended.last.log_probability);
    result.lineage.push_back(ended.last.row);
  }
  history_.Trace({dead_end ? ended.step + 1 : ended.step, ended.last.row}, begin, &result);
  return result;
}

std::vector<Search::Result> Search::Results() const {
  std::vector<Result> results;
  const std::size_t count = std::min(ended_.size(), static_cast<std::size_t>(options_.n_best));
  results.reserve(count);
  for (std::size_t i = 0; i < count; ++i) results.push_back(Traced(ended_[i], 0));
  return results;
}

}  // namespace heed
