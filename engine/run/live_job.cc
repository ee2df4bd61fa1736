#include "engine/run/live_job.h"

#include <algorithm>
#include <cstring>

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
      search_(MakeSearch(job, model)) {
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
  if (!job.capture.any()) return;
  const std::size_t steps = job.forced.empty() ? job.search.max_length : job.forced.size();
  std::size_t floats = 0;
  for (const int attend : job.capture.attends) {
    Recorded recorded{attend, model.attend_heads[attend]};
    const std::size_t each = steps * rows_ * recorded.heads * positions_;
    recorded.weights_at = floats;
    if (job.capture.weights) floats += each;
    recorded.energies_at = floats;
    if (job.capture.energies) floats += each;
    recorded_.push_back(recorded);
  }
  record_.resize(floats);
}

std::size_t LiveJob::RecordOffset(const Recorded& recorded, int step, int row) const {
  return (static_cast<std::size_t>(step) * rows_ + row) * recorded.heads * positions_;
}

void LiveJob::Record(int index, int row, const float* weights, const float* energies) {
  for (const Recorded& recorded : recorded_) {
    if (recorded.attend != index) continue;
    const std::size_t at = RecordOffset(recorded, search_.steps(), row);
    const std::size_t bytes = sizeof(float) * recorded.heads * positions_;
    if (job_.capture.weights) std::memcpy(&record_[recorded.weights_at + at], weights, bytes);
    if (job_.capture.energies) std::memcpy(&record_[recorded.energies_at + at], energies, bytes);
  }
}

DecodeResult LiveJob::Result() const {
  DecodeResult result;
  for (Search::Result& found : search_.Results()) {
    DecodedHypothesis hypothesis;
    const int steps = static_cast<int>(found.tokens.size());
    for (const Recorded& recorded : recorded_) {
      for (int head = 0; head < recorded.heads; ++head) {
        for (const bool energies : {false, true}) {
          if (!(energies ? job_.capture.energies : job_.capture.weights)) continue;
          const auto component =
              energies ? AttentionMatrix::Component::kEnergies : AttentionMatrix::Component::kWeights;
          AttentionMatrix matrix{recorded.attend, head, component, steps, positions_, {}};
          matrix.values.reserve(static_cast<std::size_t>(steps) * positions_);
          const std::size_t base = energies ? recorded.energies_at : recorded.weights_at;
          for (int t = 0; t < steps; ++t) {
            const std::size_t at =
                base + RecordOffset(recorded, t, found.lineage[t]) + static_cast<std::size_t>(head) * positions_;
            matrix.values.insert(matrix.values.end(), record_.begin() + static_cast<std::ptrdiff_t>(at),
                                 record_.begin() + static_cast<std::ptrdiff_t>(at) + positions_);
          }
          hypothesis.attentions.push_back(std::move(matrix));
        }
      }
    }
    hypothesis.tokens = std::move(found.tokens);
    hypothesis.log_probabilities = std::move(found.log_probabilities);
    hypothesis.log_probability = found.log_probability;
    hypothesis.score = found.score;
    hypothesis.finish = found.ended_by_eos ? FinishReason::kEos : FinishReason::kLength;
    result.hypotheses.push_back(std::move(hypothesis));
  }
  return result;
}

}  // namespace heed
