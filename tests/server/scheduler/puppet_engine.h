// An engine moved by the test: each Step waits until the test lets it happen, and jobs finish when the test says so. A
// job is known by the first id of its source, its name here; its result is one hypothesis whose only token is that
// name.
// A job with progress has one more such token to tell of after each step.
//
// PuppetStrings is thread-safe and outlives the engine; the test holds it, the scheduler's step thread the engine.
//
//   PuppetStrings strings;
//   auto scheduler = StartScheduler(options, 1, [&](int) { return strings.MakeEngine(8); }, nullptr, &clock);
//   EXPECT_THAT(strings.WaitForStep(), ElementsAre(1));  // a worker is inside Step with job 1
//   strings.FinishInNextStep(1);
//   strings.LetStep();
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/run/step_engine.h"

namespace heed {

class PuppetStrings {
 public:
  // Of `rows` rows.
  std::unique_ptr<StepEngine> MakeEngine(int rows);

  // Returns once a worker is inside Step: the names of the jobs in that engine, in order of admission.
  std::vector<TokenId> WaitForStep() {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&inside_));
    return live_;
  }

  // Lets the Step that a worker is inside of end. WaitForStep then waits for the next one.
  void LetStep() {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&inside_));
    inside_ = false;
    go_ = true;
  }

  // The Step that ends next reports this job as finished.
  void FinishInNextStep(TokenId name) {
    absl::MutexLock lock(&mu_);
    finishing_.insert(name);
  }

  // From now on, steps do not wait: the test is over.
  void CutLoose() {
    absl::MutexLock lock(&mu_);
    loose_ = true;
  }

  int steps() const {
    absl::MutexLock lock(&mu_);
    return steps_;
  }

 private:
  friend class PuppetEngine;

  mutable absl::Mutex mu_;
  bool inside_ ABSL_GUARDED_BY(mu_) = false;
  bool go_ ABSL_GUARDED_BY(mu_) = false;
  bool loose_ ABSL_GUARDED_BY(mu_) = false;
  int steps_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<TokenId> live_ ABSL_GUARDED_BY(mu_);
  std::set<TokenId> finishing_ ABSL_GUARDED_BY(mu_);
};

class PuppetEngine : public StepEngine {
 public:
  PuppetEngine(PuppetStrings* strings, int rows) : strings_(strings), max_rows_(rows) {}

  int free_rows() const override {
    int free = max_rows_;
    for (const auto& [id, job] : jobs_) free -= Rows(*job);
    return free;
  }
  int max_rows() const override { return max_rows_; }
  int live_jobs() const override { return static_cast<int>(jobs_.size()); }

  void Admit(JobId id, const DecodeJob* job) override { jobs_.emplace_back(id, job); }

  void Release(JobId id) override {
    std::erase_if(jobs_, [id](const auto& entry) { return entry.first == id; });
  }

  void Step(StepReport* report) override {
    absl::MutexLock lock(&strings_->mu_);
    ++strings_->steps_;
    strings_->live_.clear();
    for (const auto& [id, job] : jobs_) strings_->live_.push_back(job->source[0]);
    strings_->inside_ = true;
    const auto may_end = [this] {
      strings_->mu_.AssertHeld();
      return strings_->go_ || strings_->loose_;
    };
    strings_->mu_.Await(absl::Condition(&may_end));
    strings_->inside_ = strings_->go_ = false;
    for (const auto& [id, job] : jobs_) {
      report->rows += Rows(*job);
      if (steps_[id]++ == 0) report->first_token.push_back(id);
      if (job->progress) report->progressed.push_back(id);
      if (strings_->finishing_.erase(job->source[0]) > 0) report->finished.push_back(id);
    }
  }

  DecodeResult Take(JobId id) override {
    DecodeResult result;
    result.hypotheses.push_back({.tokens = {Name(id)}});
    Release(id);
    return result;
  }

  DecodeResult Finish(JobId id) override {
    DecodeResult result;
    if (steps_[id] > 0) result.hypotheses.push_back({.tokens = {Name(id)}, .finish = FinishReason::kStopped});
    Release(id);
    return result;
  }

  DecodedHypothesis TakeProgress(JobId id) override {
    const int fresh = steps_[id] - std::exchange(told_[id], steps_[id]);
    return {.tokens = std::vector<TokenId>(static_cast<std::size_t>(fresh), Name(id))};
  }

 private:
  static int Rows(const DecodeJob& job) { return job.search.beam_size; }
  TokenId Name(JobId id) const {
    return std::find_if(jobs_.begin(), jobs_.end(), [id](const auto& entry) { return entry.first == id; })
        ->second->source[0];
  }

  PuppetStrings* const strings_;
  const int max_rows_;
  std::vector<std::pair<JobId, const DecodeJob*>> jobs_;
  std::map<JobId, int> steps_;
  std::map<JobId, int> told_;
};

inline std::unique_ptr<StepEngine> PuppetStrings::MakeEngine(int rows) {
  return std::make_unique<PuppetEngine>(this, rows);
}

}  // namespace heed
