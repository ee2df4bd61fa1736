// Turns what the engine decoded back into text: pieces joined, segments put together with the source's spacing, every
// token's byte range, attention rows dense or folded to words.
//
// Not thread-safe. It takes CPU time in proportion to the reply: not for a step thread, and that of long ones is made a
// part at a time, in turn with others' (server/lifecycle/text_pool.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/run/job.h"
#include "heed/v1/text.pb.h"
#include "server/admission/admission.h"

namespace heed {

// Of the best hypothesis; 0 where there is none.
int TargetTokens(const DecodeResult& result);

// Makes a request's results, a text at a time in any order.
class ReplyMaker {
 public:
  // `request` outlives it.
  explicit ReplyMaker(const AdmittedRequest* request);
  ~ReplyMaker();

  // What becomes of text `text`: its jobs' results, which are taken out of `decoded` (one result per job of the
  // request). RESOURCE_EXHAUSTED if it and those made before are larger than the request's max_reply_bytes all the same
  // (n-best text, say): then it makes no more.
  absl::StatusOr<v1::TextResult> Make(int text, std::vector<DecodeResult>* decoded);
  // The same a part at a time: Begin, then Step until it has the result. A part is a hypothesis, with its attention.
  void Begin(int text, std::vector<DecodeResult>* decoded);
  absl::StatusOr<std::optional<v1::TextResult>> Step();

  const v1::ModelIdentity& model() const { return model_; }
  // Of the best hypotheses so far.
  std::int64_t target_tokens() const { return target_tokens_; }
  // So far: segments whose best hypothesis is doubtful, and those of whose source too little is the model's own.
  std::int64_t doubtful_outputs() const { return doubtful_outputs_; }
  std::int64_t low_coverage_segments() const { return low_coverage_segments_; }

 private:
  struct Text;  // one that is being made
  // Its segments' next part; whether more is left.
  bool Grow();
  void AddHypothesis(v1::Hypothesis hypothesis);  // to the segment that is being made
  absl::StatusOr<std::optional<v1::TextResult>> End();

  const AdmittedRequest* const request_;
  const v1::ModelIdentity model_;
  std::unique_ptr<Text> making_;
  std::int64_t bytes_ = 0;  // of the reply so far
  std::int64_t target_tokens_ = 0, doubtful_outputs_ = 0, low_coverage_segments_ = 0;
};

struct Reply {
  std::vector<v1::TextResult> results;  // one per text, in order
  v1::ModelIdentity model;
  std::int64_t target_tokens = 0;  // of the best hypotheses
};

// All of them; ReplyMaker's error.
absl::StatusOr<Reply> MakeReply(const AdmittedRequest& request, std::vector<DecodeResult> decoded);

}  // namespace heed
