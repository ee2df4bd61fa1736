// What the scheduler sees of an engine: a table of rows that advances one step at a time.
//
// The engine never loops over a sentence and never waits: the scheduler owns the loop. Encoding a new source is spread
// over Step calls by a budget, so it does not stall rows that are already decoding.
//
// Not thread-safe: one step thread owns it.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/run/job.h"

namespace heed {

using JobId = std::int64_t;

// What one Step did. The scheduler keeps one and reuses it, so that steps allocate nothing.
struct StepReport {
  int rows = 0;                    // rows that advanced one target position
  int encoded_positions = 0;       // what encoding cost, as Encoder::Advance has it
  std::vector<JobId> first_token;  // jobs that emitted their first token in this step
  std::vector<JobId> progressed;   // jobs with DecodeJob::progress, not finished, that now have more settled tokens
  std::vector<JobId> finished;     // done: call Take for each before the next Step

  void Clear() {
    rows = encoded_positions = 0;
    first_token.clear();
    progressed.clear();
    finished.clear();
  }
};

class StepEngine {
 public:
  virtual ~StepEngine() = default;

  // Rows that new jobs may take; a job takes max(1, search.beam_size). An engine may take in more than it steps at
  // once, so that sources are encoded ahead of rows that fall free.
  virtual int free_rows() const = 0;
  // Rows that are stepped at once, and so the widest beam.
  virtual int max_rows() const = 0;
  // Rows that the jobs inside hold, waiting ones included.
  virtual int rows_in_use() const { return max_rows() - free_rows(); }
  // Jobs inside, encoding or decoding.
  virtual int live_jobs() const = 0;
  // Takes a job. Requires rows for it to be free and `job` to stay alive and unchanged until it is finished or
  // released. The caller chooses the id, unique among live jobs.
  virtual void Admit(JobId id, const DecodeJob* job) = 0;
  // Drops a live job (cancelled, past its deadline): its rows are free at once.
  virtual void Release(JobId id) = 0;
  // Advances everything by one step and adds what happened to `report`. Allocates nothing.
  virtual void Step(StepReport* report) = 0;
  // The result of a job that Step reported as finished; the job is released.
  virtual DecodeResult Take(JobId id) = 0;
  // Ends a live job that is not finished, between steps, and releases it: n_best of what it has, best first, those cut
  // short with FinishReason::kStopped. No hypotheses where it has not made a step.
  virtual DecodeResult Finish(JobId id) = 0;
  // Of a live or finished job with DecodeJob::progress, before Take: the settled tokens, which the best hypothesis will
  // begin with whatever comes (Finish included), that were not taken before; with their log-probabilities and, of a job
  // of one row, their rows of what it captures, copies and sources. The rest of `DecodedHypothesis` is unset. After the
  // job is reported finished: all that is left of the best hypothesis. May allocate.
  virtual DecodedHypothesis TakeProgress(JobId id) = 0;
};

}  // namespace heed
