// A job inside an engine: its search and what it keeps of its source. Everything is sized when it is admitted, so that
// steps allocate nothing.
//
// Not thread-safe: the engine owns it.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/run/compiled.h"
#include "engine/run/job.h"
#include "engine/run/recorder.h"
#include "engine/run/step_engine.h"
#include "engine/search/search.h"

namespace heed {

class LiveJob {
 public:
  LiveJob(JobId id, const DecodeJob& job, const CompiledModel& model);

  JobId id() const { return id_; }
  int rows() const { return rows_; }  // that it reserves
  int positions() const { return positions_; }
  const DecodeJob& job() const { return job_; }
  Search& search() { return search_; }

  // Keys, values, memories and first values of positions [positions, size], by CompiledModel::sequences, each as
  // Kept::half has it; vectors by CompiledModel::vectors.
  MemoryRows sequence(int index) const;
  void KeepSequence(int index, const float* rows);
  float* vector(int index) { return kept_.data() + vector_at_[index]; }

  // What an attend of the step program made for row `row` of the search at the current step: kept and shown to the
  // search as far as either wants it.
  void Attended(const AttendOp& op, int row, const AttendRow& made);
  Recorder& recorder() { return recorder_; }

  // After the search is done.
  DecodeResult Result() const;

  // StepEngine::TakeProgress, as of the last Search::Settle.
  DecodedHypothesis TakeProgress();

  // Plan::JobBytes.
  static std::int64_t Bytes(const DecodeJob& job, const CompiledModel& model);

  bool released = false;  // dropped while its source was being encoded

 private:
  const JobId id_;
  const DecodeJob& job_;
  const int rows_;
  const int positions_;
  const CompiledModel& model_;
  const int attend_;  // DecodeJob::attend, a real one; -1: the model has none
  Search search_;
  Buffer kept_;
  std::vector<std::size_t> sequence_at_, vector_at_;
  Recorder recorder_;
  std::vector<float> mean_;  // weights of one row, heads averaged
  int told_ = 0;             // tokens that TakeProgress has given
};

}  // namespace heed
