// What a live job keeps of its steps for its result, by step and row, so that each hypothesis can be given that of its
// own lineage: captured attention, what was copied, where unknown pieces come from. Sized when the job is admitted.
//
// Not thread-safe: the job owns it.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernels/copy.h"
#include "engine/run/attention.h"
#include "engine/run/job.h"

namespace heed {

class Recorder {
 public:
  // `rows` the most that the job's search runs at a step.
  Recorder(const DecodeJob& job, const CompiledModel& model, int rows);

  // What attend `index` (among the model's) made, if it is captured.
  void Attend(int index, int step, int row, const AttendRow& made);
  // Of a model that copies: the probability of copying and the weights by source position.
  void Copy(int step, int row, float copy, const float* weights);
  // The position that DecodeJob::attend weights most.
  void Source(int step, int row, int position) { sources_[Place(step, row)] = position; }

  // Of a model that copies: the job's ids with these weights.
  Copies copies(const float* weights) const;
  int own_ids() const { return own_ids_; }  // beyond the vocabulary

  // Gives a hypothesis, whose tokens and log-probabilities from step `first` on are there, what its lineage (a row for
  // each of those steps) recorded.
  void Fill(int first, const std::vector<int>& lineage, DecodedHypothesis* hypothesis) const;

  // Memory that a recorder takes beside the object itself, and that Fill gives a hypothesis of `tokens` tokens.
  static std::int64_t Bytes(const DecodeJob& job, const CompiledModel& model, int rows);
  static std::int64_t FilledBytes(const DecodeJob& job, const CompiledModel& model, int tokens);

 private:
  // One component of one captured attend: `lines` matrices (one a head, a context has one) of `columns`.
  struct Captured {
    int attend = 0;
    AttentionMatrix::Component component = AttentionMatrix::Component::kWeights;
    int lines = 1, columns = 0;
    std::size_t at = 0;  // in values_, in units of places
  };
  static std::vector<Captured> Layout(const DecodeJob& job, const CompiledModel& model);
  std::size_t Place(int step, int row) const { return static_cast<std::size_t>(step) * rows_ + row; }

  const DecodeJob& job_;
  const int rows_;
  const int positions_;
  std::vector<Captured> captured_;
  std::vector<float> values_;
  std::vector<int> sources_;

  // Of a model that copies, else empty.
  int own_ids_ = 0;
  std::vector<int> order_;  // source positions by their copied id
  std::vector<float> copy_;
  std::vector<float> copied_;  // [step, row, position]
};

}  // namespace heed
