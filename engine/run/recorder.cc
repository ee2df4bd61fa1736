#include "engine/run/recorder.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <tuple>
#include <utility>

namespace heed {

namespace {

// Steps that the job's search makes at most.
std::size_t MostSteps(const DecodeJob& job) { return job.forced.empty() ? job.search.max_length : job.forced.size(); }

// Whether `sources` are recorded.
bool Points(const DecodeJob& job, const CompiledModel& model) { return job.sources && !model.attend_names.empty(); }

template <typename T>
std::int64_t BytesOf(std::size_t count) {
  return static_cast<std::int64_t>(count * sizeof(T));
}

}  // namespace

std::vector<Recorder::Captured> Recorder::Layout(const DecodeJob& job, const CompiledModel& model) {
  const Capture& wanted = job.capture;
  std::vector<Captured> layout;
  layout.reserve((wanted.weights + wanted.energies + wanted.contexts) * wanted.attends.size());
  std::size_t floats = 0;
  const auto add = [&](int attend, AttentionMatrix::Component component, int lines, int columns) {
    layout.push_back({attend, component, lines, columns, floats});
    floats += Floats(lines, columns);
  };
  const int positions = static_cast<int>(job.source.size());
  for (const int attend : wanted.attends) {
    const int heads = model.attend_heads[attend];
    if (wanted.weights) add(attend, AttentionMatrix::Component::kWeights, heads, positions);
    if (wanted.energies) add(attend, AttentionMatrix::Component::kEnergies, heads, positions);
    if (wanted.contexts) add(attend, AttentionMatrix::Component::kContexts, 1, model.attend_contexts[attend]);
  }
  return layout;
}

Recorder::Recorder(const DecodeJob& job, const CompiledModel& model, int rows)
    : job_(job), rows_(rows), positions_(static_cast<int>(job.source.size())), captured_(Layout(job, model)) {
  const std::size_t places = rows * MostSteps(job);
  if (!captured_.empty()) {
    const Captured& last = captured_.back();
    values_.resize(places * (last.at + Floats(last.lines, last.columns)));
  }
  for (Captured& captured : captured_) captured.at *= places;
  if (Points(job, model)) sources_.resize(places);
  if (!model.copy.has_value()) return;
  // Ids that do not fit would be written beyond the row of probabilities: a caller's fault, and better stopped here.
  if (!ValidCopyIds(job.copy_ids, job.source.size(), model.vocabulary)) std::abort();
  own_ids_ = std::max(0, *std::max_element(job.copy_ids.begin(), job.copy_ids.end()) + 1 - model.vocabulary);
  copy_.resize(places);
  copied_.resize(places * positions_);
  order_.resize(positions_);
  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(), [&](int a, int b) {
    return job.copy_ids[a] != job.copy_ids[b] ? job.copy_ids[a] < job.copy_ids[b] : a < b;
  });
}

// What the constructor makes.
std::int64_t Recorder::Bytes(const DecodeJob& job, const CompiledModel& model, int rows) {
  const std::size_t places = rows * MostSteps(job), positions = job.source.size();
  const std::vector<Captured> layout = Layout(job, model);
  std::int64_t bytes = BytesOf<Captured>(layout.size());
  for (const Captured& captured : layout) bytes += BytesOf<float>(places * Floats(captured.lines, captured.columns));
  if (Points(job, model)) bytes += BytesOf<int>(places);
  if (model.copy.has_value()) bytes += BytesOf<float>(places * (1 + positions)) + BytesOf<int>(positions);
  return bytes;
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

void Recorder::Fill(int first, const std::vector<int>& lineage, DecodedHypothesis* hypothesis) const {
  const int steps = static_cast<int>(lineage.size());
  std::size_t matrices = 0;
  for (const Captured& captured : captured_) matrices += captured.lines;
  hypothesis->attentions.reserve(matrices);
  for (const Captured& captured : captured_) {
    for (int line = 0; line < captured.lines; ++line) {
      AttentionMatrix matrix{captured.attend, line, captured.component, steps, captured.columns, {}};
      matrix.values.reserve(Floats(steps, captured.columns));
      for (int t = 0; t < steps; ++t) {
        const std::size_t row = Place(first + t, lineage[t]) * captured.lines + line;
        const float* from = &values_[captured.at + row * captured.columns];
        matrix.values.insert(matrix.values.end(), from, from + captured.columns);
      }
      hypothesis->attentions.push_back(std::move(matrix));
    }
  }
  std::sort(hypothesis->attentions.begin(), hypothesis->attentions.end(), [](const auto& a, const auto& b) {
    return std::tie(a.attend, a.head, a.component) < std::tie(b.attend, b.head, b.component);
  });
  if (!sources_.empty()) hypothesis->sources.reserve(steps);
  for (int t = 0; t < steps && !sources_.empty(); ++t) {
    hypothesis->sources.push_back(sources_[Place(first + t, lineage[t])]);
  }
  if (!copy_.empty()) hypothesis->copies.reserve(steps);
  for (int t = 0; t < steps && !copy_.empty(); ++t) {
    const std::size_t place = Place(first + t, lineage[t]);
    const CopiedPart part = CopiedPartOf(copies(&copied_[place * positions_]), copy_[place], hypothesis->tokens[t],
                                         hypothesis->log_probabilities[t]);
    hypothesis->copies.push_back({copy_[place], part.share, part.position});
  }
}

// What Fill makes.
std::int64_t Recorder::FilledBytes(const DecodeJob& job, const CompiledModel& model, int tokens) {
  std::int64_t bytes = 0;
  for (const Captured& captured : Layout(job, model)) {
    bytes += captured.lines * (BytesOf<AttentionMatrix>(1) + BytesOf<float>(Floats(tokens, captured.columns)));
  }
  if (Points(job, model)) bytes += BytesOf<int>(tokens);
  if (model.copy.has_value()) bytes += BytesOf<CopiedToken>(tokens);
  return bytes;
}

}  // namespace heed
