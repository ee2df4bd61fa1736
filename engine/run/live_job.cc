#include "engine/run/live_job.h"

#include <algorithm>
#include <utility>

#include "engine/kernels/quantise.h"

namespace heed {
namespace {

// Rounds up to whole cache lines, so that every piece of a slab is aligned.
std::size_t Aligned(std::size_t floats) { return (floats + 15) / 16 * 16; }

Search MakeSearch(const DecodeJob& job, const CompiledModel& model) {
  if (!job.forced.empty()) return Search(job.forced, model.start_id, model.eos_id);
  return Search(job.search, model.start_id, model.eos_id, static_cast<int>(job.source.size()));
}

int Rows(const DecodeJob& job) { return job.forced.empty() ? job.search.beam_size : 1; }

// Floats that a kept sequence takes.
std::size_t SequenceFloats(const Kept& kept, std::size_t positions) {
  const std::size_t numbers = positions * kept.size;
  return Aligned(kept.half ? (numbers + 1) / 2 : numbers);
}

// Floats of what a job keeps of a source.
std::size_t KeptFloats(const CompiledModel& model, std::size_t positions) {
  std::size_t floats = 0;
  for (const Kept& kept : model.sequences) floats += SequenceFloats(kept, positions);
  for (const Kept& kept : model.vectors) floats += Aligned(kept.size);
  return floats;
}

}  // namespace

LiveJob::LiveJob(JobId id, const DecodeJob& job, const CompiledModel& model)
    : id_(id),
      job_(job),
      rows_(Rows(job)),
      positions_(static_cast<int>(job.source.size())),
      model_(model),
      attend_(job.attend < 0 ? static_cast<int>(model.attend_names.size()) - 1 : job.attend),
      search_(MakeSearch(job, model)),
      kept_(KeptFloats(model, job.source.size())),
      recorder_(job, model, rows_) {
  std::size_t size = 0;
  sequence_at_.reserve(model.sequences.size());
  vector_at_.reserve(model.vectors.size());
  for (const Kept& kept : model.sequences) {
    sequence_at_.push_back(size);
    size += SequenceFloats(kept, positions_);
  }
  for (const Kept& kept : model.vectors) {
    vector_at_.push_back(size);
    size += Aligned(kept.size);
  }
  if (job.sources || search_.wants_attention()) mean_.resize(positions_);
}

MemoryRows LiveJob::sequence(int index) const {
  const float* at = kept_.data() + sequence_at_[index];
  const Kept& kept = model_.sequences[index];
  if (kept.half) return {nullptr, reinterpret_cast<const std::uint16_t*>(at), kept.size};
  return {at, nullptr, kept.size};
}

void LiveJob::KeepSequence(int index, const float* rows) {
  float* const to = kept_.data() + sequence_at_[index];
  const Kept& kept = model_.sequences[index];
  const std::size_t numbers = Floats(positions_, kept.size);
  if (kept.half) {
    ToBfloat16(static_cast<std::int64_t>(numbers), rows, reinterpret_cast<std::uint16_t*>(to));
  } else {
    std::copy_n(rows, numbers, to);
  }
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
  std::vector<Search::Result> results = search_.Results();
  DecodeResult result;
  result.hypotheses.reserve(results.size());
  for (Search::Result& found : results) {
    DecodedHypothesis hypothesis;
    hypothesis.tokens = std::move(found.tokens);
    hypothesis.log_probabilities = std::move(found.log_probabilities);
    hypothesis.log_probability = found.log_probability;
    hypothesis.score = found.score;
    hypothesis.finish = found.ended_by_eos  ? FinishReason::kEos
                        : search_.stopped() ? FinishReason::kStopped
                                            : FinishReason::kLength;
    recorder_.Fill(0, found.lineage, &hypothesis);
    result.hypotheses.push_back(std::move(hypothesis));
  }
  return result;
}

DecodedHypothesis LiveJob::TakeProgress() {
  Search::Result fresh = search_.Settled(told_);
  DecodedHypothesis progress;
  progress.tokens = std::move(fresh.tokens);
  progress.log_probabilities = std::move(fresh.log_probabilities);
  if (rows_ == 1) recorder_.Fill(told_, fresh.lineage, &progress);
  told_ += static_cast<int>(progress.tokens.size());
  return progress;
}

// What the constructor makes, and Result while both are there, its hypotheses as long as they can be.
std::int64_t LiveJob::Bytes(const DecodeJob& job, const CompiledModel& model) {
  constexpr auto size_of = [](std::size_t size, std::size_t count) { return static_cast<std::int64_t>(size * count); };
  const std::size_t positions = job.source.size();
  std::int64_t bytes = sizeof(LiveJob) + Search::Bytes(job.search, job.forced, static_cast<int>(positions)) +
                       Recorder::Bytes(job, model, Rows(job)) + size_of(sizeof(float), KeptFloats(model, positions)) +
                       size_of(sizeof(std::size_t), model.sequences.size() + model.vectors.size());
  const bool covers = job.forced.empty() && Coverage::Wanted(job.search);
  if (job.sources || covers) bytes += size_of(sizeof(float), positions);
  const int tokens = job.forced.empty() ? job.search.max_length : static_cast<int>(job.forced.size());
  // Of a Search::Result and of the hypothesis that takes over all but its lineage.
  const std::int64_t hypothesis = sizeof(Search::Result) + sizeof(DecodedHypothesis) +
                                  size_of(sizeof(TokenId) + sizeof(float) + sizeof(int), tokens) +
                                  Recorder::FilledBytes(job, model, tokens);
  return bytes + (job.forced.empty() ? job.search.n_best : 1) * hypothesis;
}

}  // namespace heed
