// What comes before and after decoding of every request for text, and where it is done: short text work on the
// executor, for to wake another thread would take as long, that of long ones on the text pool, a part at a time; a
// request that is cancelled or past its deadline then ends between two parts.
//
// As Exchange: one thread's at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/admission/admission.h"
#include "server/reply/reply.h"
#include "server/serving/exchange.h"
#include "server/serving/text_source.h"

namespace heed {

class TextExchange : public Exchange {
 public:
  using Exchange::Exchange;

  // The request's whole way, to End. On the executor's thread.
  void Run(TextSource source);

 protected:
  // The admitted request as the scheduler takes it, with `done` and what comes before that.
  virtual std::unique_ptr<WorkItem> MakeItem() = 0;
  // Closes it and tells the sink. The last thing that touches the exchange.
  virtual void End(absl::Status status) = 0;

  // After decoding: `step` until it says that no more is left; after that the exchange is touched no more. It makes
  // some `bytes` of a reply. On any thread.
  void SubmitAfter(std::int64_t bytes, std::function<bool()> step);
  const AdmittedRequest& admitted() const { return admitted_; }
  AdmittedRequest* mutable_admitted() { return &admitted_; }
  // Frees a part of what was admitted, for that takes time too; whether more is left.
  bool ReleaseSome() { return admitted_.ReleaseText(); }
  // Puts the jobs' times into the sample, with the length of each one's best hypothesis.
  void TakeTimings(const std::vector<JobTiming>& timings, const std::vector<int>& target_tokens);
  // What the whole reply came to.
  void TakeCounts(const ReplyMaker& maker);

 private:
  // Does a part of what comes before decoding; whether more is left.
  bool BeforeSome();
  // Parsed, and its model selected; samples are taken of it even where it is refused.
  absl::Status Begin();
  // Admits a part; whether more is left.
  absl::StatusOr<bool> AdmitSome();
  // A look at the queue before tokenising: a refusal should cost next to nothing.
  absl::Status CheckRoom(const SelectedRequest& selected) const;
  // Gives the scheduler what was admitted. OK: the exchange may be another thread's by now.
  absl::Status Schedule();
  void SubmitToPool(std::int64_t memory, Priority priority, absl::Duration expected, std::function<bool()> step);

  TextSource source_;
  std::unique_ptr<AdmissionWork> admission_;  // once its model is known, until admitted
  absl::Status refused_;
  AdmittedRequest admitted_;
};

}  // namespace heed
