// A job inside an engine: its search and what it keeps of its source. Everything is sized when it is admitted, so that
// steps allocate nothing.
//
// Not thread-safe: the engine owns it.
#pragma once

#include <vector>

#include "engine/run/compiled.h"
#include "engine/run/job.h"
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

  // Keys, values and memories [positions, size], by CompiledModel::sequences; vectors by CompiledModel::vectors.
  float* sequence(int index) { return kept_.data() + sequence_at_[index]; }
  float* vector(int index) { return kept_.data() + vector_at_[index]; }

  // Keeps what attend `index` (among the model's) made for row `row` of the search at the current step, if wanted.
  // heads * positions() floats each.
  void Record(int index, int row, const float* weights, const float* energies);

  // After the search is done.
  DecodeResult Result() const;

  bool released = false;  // dropped while its source was being encoded

 private:
  struct Recorded {
    int attend = 0;
    int heads = 0;
    std::size_t weights_at = 0, energies_at = 0;
  };
  std::size_t RecordOffset(const Recorded& recorded, int step, int row) const;

  const JobId id_;
  const DecodeJob& job_;
  const int rows_;
  const int positions_;
  Search search_;
  Buffer kept_;
  std::vector<std::size_t> sequence_at_, vector_at_;
  std::vector<Recorded> recorded_;
  std::vector<float> record_;
};

}  // namespace heed
