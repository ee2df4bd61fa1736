// Static batching around an engine, for the serving benchmark: the same engine, another policy.
//
// A batch is formed by size or time-out; while it runs nobody joins. Padded: every result is given out when the longest
// row has ended. Early: each is given out as it is done, but its row is free only when the batch has ended.
// A row that has ended is computed on until then, as in a framework whose batch is one tensor: a filler takes its
// place, which is fed the same token over and over and attends to one position. `pads` false: such rows cost nothing,
// which flatters static batching, for few programs can do that. Shorter sources cost less to encode either way.
//
// Not thread-safe: one step thread owns it, as the engine inside.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "engine/base/clock.h"
#include "engine/run/step_engine.h"

namespace heed {

struct StaticBatchOptions {
  bool padded = true;                               // false: early
  bool pads = true;                                 // rows that have ended are computed on
  int batch_size = 32;                              // rows, at most the engine's max_rows
  absl::Duration timeout = absl::Milliseconds(10);  // after a batch's first job joined it, it starts anyway
};

class StaticBatch : public StepEngine {
 public:
  using Nap = std::function<void(absl::Duration)>;

  // `clock` outlives it. `nap` sleeps: a Step while a batch is formed has nothing else to do.
  StaticBatch(const StaticBatchOptions& options, std::unique_ptr<StepEngine> engine, Clock* clock, Nap nap)
      : options_(options), engine_(std::move(engine)), clock_(clock), nap_(std::move(nap)) {}

  int free_rows() const override;
  int max_rows() const override { return options_.batch_size; }
  int live_jobs() const override { return static_cast<int>(forming_.size() + running_.size() + done_.size()); }
  void Admit(JobId id, const DecodeJob* job) override;
  void Release(JobId id) override;
  void Step(StepReport* report) override;
  DecodeResult Take(JobId id) override;
  DecodeResult Finish(JobId id) override;
  DecodedHypothesis TakeProgress(JobId id) override;

 private:
  // A result that waits to be given out.
  struct Done {
    DecodeResult result;
    DecodedHypothesis progress;
  };

  int RowsRunning() const;
  // Starts the batch when it is full or its time is over, else naps; whether one is running.
  bool Start();
  // A filler for each row of the batch that has ended.
  void Pad();
  void RemoveFillers();

  const StaticBatchOptions options_;
  const std::unique_ptr<StepEngine> engine_;
  Clock* const clock_;
  const Nap nap_;

  std::vector<std::pair<JobId, const DecodeJob*>> forming_;  // the next batch, in order of arrival
  absl::Time start_by_;                                      // while forming_ has jobs
  std::map<JobId, const DecodeJob*> running_;                // of the batch, inside the engine
  std::map<JobId, Done> done_;                               // of the batch, out of the engine (padded only)
  int batch_rows_ = 0;                                       // that the batch began with
  std::map<JobId, std::unique_ptr<DecodeJob>> fillers_;      // inside the engine, under negative ids
  JobId next_filler_ = -1;
  DecodeJob filler_;  // what they are copies of
};

}  // namespace heed
