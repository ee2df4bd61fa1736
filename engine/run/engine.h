// The engine: jobs wait for their sources to be encoded, then for rows, then decode; a step advances all of it.
//
// Sources are encoded in groups. While rows are decoding, each step spends a bounded time on the group under way, so
// that sources which arrive meanwhile gather into the next group; when nothing decodes, a group runs to its end. Jobs
// may be encoded ahead of free rows, so that a row which falls free is filled at once.
//
// Not thread-safe: one step thread owns it.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/run/encoder.h"
#include "engine/run/live_job.h"
#include "engine/run/plan.h"
#include "engine/run/scorer.h"
#include "engine/run/step_engine.h"
#include "engine/run/stepper.h"

namespace heed {

class Engine : public StepEngine {
 public:
  static absl::StatusOr<std::unique_ptr<Engine>> Make(std::shared_ptr<const CompiledModel> model,
                                                      const EngineOptions& options);
  // Rows at a time at most, in products too.
  static int Block(const EngineOptions& options) { return (options.max_rows + 15) / 16 * 16; }
  // Memory that one takes; exact but for the allocator's own and for oneDNN's, of which it is the most. `model` may be
  // an outline.
  static absl::StatusOr<std::int64_t> Bytes(CompiledModel model, const EngineOptions& options);

  int free_rows() const override { return capacity_ - reserved_; }
  int max_rows() const override { return max_rows_; }
  int rows_in_use() const override { return reserved_; }
  int live_jobs() const override { return live_jobs_; }
  void Admit(JobId id, const DecodeJob* job) override;
  void Release(JobId id) override;
  void Step(StepReport* report) override;
  DecodeResult Take(JobId id) override;
  DecodeResult Finish(JobId id) override;
  DecodedHypothesis TakeProgress(JobId id) override;

 private:
  // A job that decodes, and where its rows of the last step begin.
  struct Decoding {
    std::unique_ptr<LiveJob> job;
    int first_row = 0;
  };
  using Jobs = std::vector<std::unique_ptr<LiveJob>>;

  Engine(std::shared_ptr<const CompiledModel> model, const EngineOptions& options, std::unique_ptr<RowOps> ops,
         BufferMaker* buffers);

  std::vector<Decoding>::iterator FindDecoding(JobId id);
  void Encode(StepReport* report);
  void Decode(StepReport* report);
  void StartGroup();
  void FinishGroup();
  void StartDecoding();
  void ListRows();
  void Choose(Decoding& decoding);
  void Retire(StepReport* report);

  const std::shared_ptr<const CompiledModel> model_;
  const int max_rows_;
  const int capacity_;  // rows that jobs may reserve, those encoded ahead included
  Clock* const clock_;
  const absl::Duration encode_time_;
  absl::Duration last_decode_;  // how long it took
  std::unique_ptr<RowOps> ops_;
  Encoder encoder_;
  Stepper stepper_;
  Scorer scorer_;

  int reserved_ = 0;
  int live_jobs_ = 0;
  int decoding_rows_ = 0;  // reserved by decoding_

  // A job moves down these lists; all have room for capacity_ jobs from the start.
  Jobs waiting_;
  Jobs encoding_;
  Jobs ready_;
  std::vector<Decoding> decoding_;
  Jobs finished_;

  std::vector<LiveJob*> group_;
  std::vector<StepRow> rows_;
  std::vector<int> found_;
};

}  // namespace heed
