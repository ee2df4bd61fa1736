#include "engine/run/recorder.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

namespace heed {

Recorder::Recorder(const DecodeJob& job, const CompiledModel& model, int rows)
    : job_(job), rows_(rows), positions_(static_cast<int>(job.source.size())) {
  const std::size_t places = rows * (job.forced.empty() ? job.search.max_length : job.forced.size());
  std::size_t floats = 0;
  const auto capture = [&](bool wanted, int attend, AttentionMatrix::Component component, int lines, int columns) {
    if (!wanted) return;
    captured_.push_back({attend, component, lines, columns, floats});
    floats += places * lines * columns;
  };
  for (const int attend : job.capture.attends) {
    const int heads = model.attend_heads[attend];
    capture(job.capture.weights, attend, AttentionMatrix::Component::kWeights, heads, positions_);
    capture(job.capture.energies, attend, AttentionMatrix::Component::kEnergies, heads, positions_);
    capture(job.capture.contexts, attend, AttentionMatrix::Component::kContexts, 1, model.attend_contexts[attend]);
  }
  values_.resize(floats);
  if (job.sources && !model.attend_names.empty()) sources_.resize(places);
  if (!model.copy.has_value()) return;
  // Ids that do not fit would be written beyond the row of probabilities: a caller's fault, and better stopped here.
  if (!ValidCopyIds(job.copy_ids, job.source.size(), model.vocabulary)) std::abort();
  own_ids_ = std::max(0, *std::max_element(job.copy_ids.begin(), job.copy_ids.end()) + 1 - model.vocabulary);
  order_.resize(positions_);
  std::iota(order_.begin(), order_.end(), 0);
  std::stable_sort(order_.begin(), order_.end(), [&](int a, int b) { return job.copy_ids[a] < job.copy_ids[b]; });
  copy_.resize(places);
  copied_.resize(places * positions_);
}

void Recorder::Attend(int index, int step, int row, const AttendRow& made) {
  for (const Captured& captured : captured_) {
    if (captured.attend != index) continue;
    const float* from = captured.component == AttentionMatrix::Component::kWeights    ? made.weights
                        : captured.component == AttentionMatrix::Component::kEnergies ? made.energies
                                                                                      : made.context;
    const std::size_t size = Floats(captured.lines, captured.columns);
    std::memcpy(&values_[captured.at + Place(step, row) * size], from, sizeof(float) * size);
  }
}

void Recorder::Copy(int step, int row, float copy, const float* weights) {
  copy_[Place(step, row)] = std::clamp(copy, 0.0f, 1.0f);
  std::memcpy(&copied_[Place(step, row) * positions_], weights, sizeof(float) * positions_);
}

Copies Recorder::copies(const float* weights) const {
  return {positions_, weights, job_.copy_ids.data(), order_.data()};
}

void Recorder::Fill(const std::vector<int>& lineage, DecodedHypothesis* hypothesis) const {
  const int steps = static_cast<int>(lineage.size());
  for (const Captured& captured : captured_) {
    for (int line = 0; line < captured.lines; ++line) {
      AttentionMatrix matrix{captured.attend, line, captured.component, steps, captured.columns, {}};
      matrix.values.reserve(Floats(steps, captured.columns));
      for (int t = 0; t < steps; ++t) {
        const std::size_t row = Place(t, lineage[t]) * captured.lines + line;
        const float* from = &values_[captured.at + row * captured.columns];
        matrix.values.insert(matrix.values.end(), from, from + captured.columns);
      }
      hypothesis->attentions.push_back(std::move(matrix));
    }
  }
  // By attend, head, component.
  std::stable_sort(hypothesis->attentions.begin(), hypothesis->attentions.end(), [](const auto& a, const auto& b) {
    return a.attend != b.attend ? a.attend < b.attend : a.head < b.head;
  });
  for (int t = 0; t < steps && !sources_.empty(); ++t) hypothesis->sources.push_back(sources_[Place(t, lineage[t])]);
  for (int t = 0; t < steps && !copy_.empty(); ++t) {
    const std::size_t place = Place(t, lineage[t]);
    const CopiedPart part = CopiedPartOf(copies(&copied_[place * positions_]), copy_[place], hypothesis->tokens[t],
                                         hypothesis->log_probabilities[t]);
    hypothesis->copies.push_back({copy_[place], part.share, part.position});
  }
}

}  // namespace heed
