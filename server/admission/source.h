// A segment as the model reads it: its pieces between the specials of the vocabulary, and what a job needs to know of
// them besides their ids: what they are copied as, which of them are text, which target ids they may give.
//
// Plain values and functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "engine/run/job.h"
#include "heed/model/v1/model.pb.h"
#include "server/models/registry.h"
#include "server/text/tokenizer.h"

namespace heed {

struct SourceTokens {
  std::vector<TokenId> ids;            // specials included
  std::vector<ByteRange> ranges;       // of the segment's text; empty for specials
  std::vector<std::string> spellings;  // as Tokenizer::Encode makes them; empty for specials
  int text_begin = 0, text_end = 0;    // the positions that are no specials
};

// Specials that the source side adds: 0 to 2.
int AddedSpecials(const model::v1::Vocabulary& source);

// Puts them around the pieces of a segment of which `bytes` bytes were read.
SourceTokens WithSpecials(const model::v1::Vocabulary& source, EncodedText encoded, int bytes);

// DecodeJob::copy_ids: of a piece the target id with the same spelling, where there is none an id beyond the target
// vocabulary (one for each spelling); of <s> and </s> the target's own.
std::vector<TokenId> CopyIds(const SourceTokens& source, const ServedModel& model);

// Gives a job its source, what copying needs where the model copies, and the model's shortlist where `shortlist`.
void SetSource(const SourceTokens& source, const ServedModel& model, bool shortlist, DecodeJob* job);

}  // namespace heed
