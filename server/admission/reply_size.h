// How large a reply may get, worked out before anything is decoded.
//
// Plain functions, thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "server/admission/admission.h"

namespace heed {

// Bytes that a text of an admitted request may take in the reply. Source tokens are counted exactly, attention at its
// largest (max_length rows), text and target tokens at as many tokens as the source has: search rarely writes more, and
// a request that asks for no matrices must not be refused for what it almost never gets. ReplyMaker checks the exact
// size. AdmittedRequest::reply_bytes_estimate is the sum over the texts, and what every reply has.
std::int64_t EstimateTextBytes(const AdmittedRequest& request, const AdmittedText& text);
std::int64_t EstimateBareReplyBytes();

// Attention matrices that each hypothesis of a job with this capture has, each with a row per target token.
struct MatrixCounts {
  std::int64_t of_source = 0;        // weights and energies: a column per source token (or word)
  std::int64_t of_contexts = 0;      // context vectors
  std::int64_t context_columns = 0;  // of all of these together

  std::int64_t all() const { return of_source + of_contexts; }
};
MatrixCounts MatricesOf(const AdmittedRequest& request, const Capture& capture);

// RESOURCE_EXHAUSTED "the reply could take N bytes, more than max_reply_bytes (M); ..." with what would make it
// smaller. Not to be retried as it stands, so it carries no retry delay.
absl::Status ReplyTooLarge(const AdmittedRequest& request, std::int64_t bytes, bool before_decoding);

}  // namespace heed
