// One segment's output while it is being decoded: tokens that can change no more go in, and what may be told of them
// comes out: their ranges in the text, the text itself and their attention rows, each once.
//
// Told is what no continuation changes: tokens that TextDecoder has settled. The text told ends where the last token
// told does. What a token costs does not grow with the tokens before it.
//
// Not thread-safe; text work: not for a step thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/run/job.h"
#include "heed/v1/stream.pb.h"
#include "server/admission/admission.h"
#include "server/reply/typed.h"
#include "server/text/text_decoder.h"

namespace heed {

class SegmentStream {
 public:
  // Of segment `segment` of text `text`, which has a job. `request` outlives it and is not changed. `attention`: rows
  // are told with their tokens.
  SegmentStream(const AdmittedRequest* request, int text, int segment, bool attention);

  // The next tokens, as StepEngine::TakeProgress gives them.
  void Add(DecodedHypothesis fresh);
  // The whole best hypothesis: what Add has not been given.
  void AddRest(const DecodedHypothesis& best);

  // What may be told and has not been; none where there is nothing. `end`: no more tokens come.
  std::optional<v1::SegmentProgress> Take(bool end);

 private:
  void TakeAttention(std::size_t rows, v1::SegmentProgress* progress);

  const AdmittedRequest* const request_;
  const AdmittedSegment* const segment_;
  const int text_index_, segment_index_;
  const bool attention_;
  const std::vector<TypedToken> source_;
  DecodedHypothesis decoded_;  // all tokens so far; attention rows of those not told
  const std::unique_ptr<TextDecoder> text_;
  std::size_t told_ = 0;  // tokens
  std::size_t told_bytes_ = 0;
  bool ended_ = false;
};

}  // namespace heed
