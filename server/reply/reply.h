// Turns what the engine decoded back into text: pieces joined, segments put together with the source's spacing, every
// token's byte range, attention rows dense or folded to words.
//
// Thread-safe: a plain function. It takes CPU time in proportion to the reply: call it from the text pool.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/run/job.h"
#include "heed/v1/text.pb.h"
#include "server/admission/admission.h"

namespace heed {

struct Reply {
  std::vector<v1::TextResult> results;  // one per text, in order
  v1::ModelIdentity model;
  std::int64_t target_tokens = 0;  // of the best hypotheses
};

// `decoded` is one result per job of `request`. RESOURCE_EXHAUSTED if the reply is larger than the request's
// max_reply_bytes all the same (n-best text, say).
absl::StatusOr<Reply> MakeReply(const AdmittedRequest& request, std::vector<DecodeResult> decoded);

}  // namespace heed
