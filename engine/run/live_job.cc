#include "engine/run/live_job.h"

#include <algorithm>

namespace heed {
namespace {

// Rounds up to whole cache lines, so that every piece of a slab is aligned.
std::size_t Aligned(std::size_t floats) { return (floats + 15) / 16 * 16; }

Search MakeSearch(const DecodeJob& job, const CompiledModel& model) {
  if (!job.forced.empty()) return Search(job.forced, model.start_id, model.eos_id);
  return Search(job.search, model.start_id, model.eos_id, static_cast<int>(job.source.size()));
}

}  // namespace

LiveJob::LiveJob(JobId id, const DecodeJob& job, const CompiledModel& model)
    : id_(id),
      job_(job),
      rows_(job.forced.empty() ? job.search.beam_size : 1),
      positions_(static_cast<int>(job.source.size())),
      attend_(job.attend < 0 ? static_cast<int>(model.attend_names.size()) - 1 : job.attend),
      search_(MakeSearch(job, model)),
      recorder_(job, model, rows_) {
  std::size_t size = 0;
  for (const Kept& kept : model.sequences) {
    sequence_at_.push_back(size);
    size += Aligned(static_cast<std::size_t>(positions_) * kept.size);
  }
  for (const Kept& kept : model.vectors) {
    vector_at_.push_back(size);
    size += Aligned(kept.size);
  }
  kept_ = Buffer(size);
  if (job.sources || search_.wants_attention()) mean_.resize(positions_);
}

void LiveJob::Attended(const AttendOp& op, int row, const AttendRow& made) {
  recorder_.Attend(op.index, search_.steps(), row, made);
  if (op.index != attend_ || mean_.empty()) return;
  std::copy_n(made.weights, positions_, mean_.begin());
  for (int head = 1; head < op.heads; ++head) {
    for (int j = 0; j < positions_; ++j) mean_[j] += made.weights[Floats(head, positions_) + j];
  }
  if (op.heads > 1) {
    for (float& w : mean_) w /= static_cast<float>(op.heads);
  }
  if (search_.wants_attention()) search_.Attended(row, mean_);
  if (!job_.sources) return;
  const bool all = job_.text_begin >= job_.text_end;
  const auto most = all ? std::max_element(mean_.begin(), mean_.end())
                        : std::max_element(mean_.begin() + job_.text_begin, mean_.begin() + job_.text_end);
  recorder_.Source(search_.steps(), row, static_cast<int>(most - mean_.begin()));
}

DecodeResult LiveJob::Result() const {
  DecodeResult result;
  for (Search::Result& found : search_.Results()) {
    DecodedHypothesis hypothesis;
    hypothesis.tokens = std::move(found.tokens);
    hypothesis.log_probabilities = std::move(found.log_probabilities);
    hypothesis.log_probability = found.log_probability;
    hypothesis.score = found.score;
    hypothesis.finish = found.ended_by_eos ? FinishReason::kEos : FinishReason::kLength;
    recorder_.Fill(found.lineage, &hypothesis);
    result.hypotheses.push_back(std::move(hypothesis));
  }
  return result;
}

}  // namespace heed
