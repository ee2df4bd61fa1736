// What every request has around it: a place in the gate, a deadline, a cancelled flag; and, exactly once at its end, a
// sample for the metrics and a line in the log. It owns itself until its sink gets it as the receipt.
//
// Its parts run on whichever thread has the request at that moment; they never overlap.
#pragma once

#include <atomic>
#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/lifecycle/core.h"
#include "server/serving/context.h"
#include "server/serving/sink.h"
#include "server/serving/stage.h"

namespace heed {

// Sets a request's flag and has those who decode look at it.
void CancelRequest(const Core& core, std::atomic<bool>* cancelled);

class Exchange : public Answered {
 public:
  // `core` and `on_stage` (may be null: nobody asks) outlive it.
  Exchange(Core* core, const StageHook* on_stage, Rpc rpc, RequestContext context);
  // The place in the gate is given back after all that the request held.
  ~Exchange() override;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // A place in the gate, or why there is none.
  absl::Status Enter();
  // Which model answers; from then on the request is counted under it.
  void SetModel(ModelHandle model);
  // Not OK when there is no point in going on: CANCELLED or DEADLINE_EXCEEDED.
  absl::Status CheckAlive() const;
  // Counts it: `status` as its client is to hear it. Once.
  absl::Status Close(absl::Status status);

  Core* core() const { return core_; }
  const RequestContext& context() const { return context_; }
  absl::Time start() const { return start_; }
  absl::Time deadline() const { return deadline_; }
  RequestSample& sample() { return sample_; }

 protected:
  void Pass(Stage stage) const {
    if (on_stage_ != nullptr && *on_stage_) (*on_stage_)(stage);
  }
  // Ends it as a client that went away would.
  void Cancel() { CancelRequest(*core_, context_.cancelled.get()); }
  // Says when to try again, where that is worth it.
  absl::Status WithPushback(absl::Status status) const;

 private:
  void WriteLog(const absl::Status& status) const;

  Core* const core_;
  const StageHook* const on_stage_;
  const RequestContext context_;
  const absl::Time start_;
  const absl::Time deadline_;
  bool inside_ = false;
  ModelHandle model_;
  RequestSample sample_;
  std::optional<absl::Status> closed_;  // with this
};

}  // namespace heed
