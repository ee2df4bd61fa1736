#include "engine/run/scorer.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "engine/kernels/copy.h"
#include "engine/kernels/output.h"

namespace heed {
namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();

}  // namespace

Scorer::Scorer(const CompiledModel& model, const RowOps* ops, int max_source_tokens, BufferMaker* buffers)
    : model_(model), ops_(ops) {
  const int own = model.copy.has_value() ? max_source_tokens : 0;
  if (own > 0 || model.output_rows >= 0) by_id_ = buffers->Make(static_cast<std::size_t>(model.vocabulary) + own);
}

int Scorer::Best(LiveJob& job, int row, const Copying& copying, OutputRow* made) {
  ScoredToken* const best = made->best;
  float* const logits = made->logits;
  if (logits == nullptr) {
    for (int c = 0; c < made->found; ++c) best[c].value -= made->log_sum_exp;
    return made->found;
  }
  if (model_.copy.has_value()) return BestCopying(job, row, copying, *made);
  if (!job.job().shortlist.empty()) return BestListed(job, row, logits, best);
  Search& search = job.search();
  const int vocabulary = model_.vocabulary;
  const float total = made->log_sum_exp;
  if (const TokenId forced = search.forced_token(); forced >= 0) {
    best[0] = {forced, logits[forced] - total};
    return 1;
  }
  SubtractFrom(total, vocabulary, logits);
  return Pick(search, row, vocabulary, logits, best);
}

int Scorer::Pick(Search& search, int row, int ids, float* x, ScoredToken* best) {
  if (const TokenId forced = search.forced_token(); forced >= 0) {
    best[0] = {forced, x[forced]};
    return 1;
  }
  if (search.constrains()) search.Constrain(row, {x, static_cast<std::size_t>(ids)});
  return TopK(x, ids, search.candidates_per_row(), best);
}

int Scorer::BestListed(LiveJob& job, int row, float* logits, ScoredToken* best) {
  Search& search = job.search();
  const std::vector<TokenId>& list = job.job().shortlist;
  const int count = static_cast<int>(list.size());
  const float total = BiasLogSumExp(nullptr, count, logits);
  if (const TokenId forced = search.forced_token(); forced >= 0) {
    const auto at = std::lower_bound(list.begin(), list.end(), forced);
    const bool listed = at != list.end() && *at == forced;
    best[0] = {forced, listed ? logits[at - list.begin()] - total : kNoProbability};
    return 1;
  }
  if (search.constrains()) {
    std::fill_n(by_id_.data(), model_.vocabulary, kImpossible);
    for (int i = 0; i < count; ++i) by_id_.data()[list[i]] = logits[i] - total;
    return Pick(search, row, model_.vocabulary, by_id_.data(), best);
  }
  const int found = TopK(logits, count, search.candidates_per_row(), best);
  for (int c = 0; c < found; ++c) best[c] = {list[best[c].token], best[c].value - total};
  return found;
}

int Scorer::BestCopying(LiveJob& job, int row, const Copying& copying, const OutputRow& made) {
  const int vocabulary = model_.vocabulary, own = job.recorder().own_ids();
  const bool generates = model_.copy->gate_generates;
  const float gate = copying.gate;
  const float generate = generates ? gate : 1 - gate, copy = generates ? 1 - gate : gate;
  float* x = by_id_.data();
  std::memcpy(x, made.logits, sizeof(float) * vocabulary);
  for (const TokenId id : model_.copy->masked) x[id] = kImpossible;
  SubtractFrom(BiasLogSumExp(ops_->constant(model_.output_bias), vocabulary, x), vocabulary, x);
  MixCopies(job.recorder().copies(copying.weights), generate, copy, vocabulary, own, x);
  job.recorder().Copy(job.search().steps(), row, copy, copying.weights);
  return Pick(job.search(), row, vocabulary + own, x, made.best);
}

}  // namespace heed
