// Output tokens that are written as the source has them: those copied from beyond the target vocabulary, and unknown
// pieces that are to be replaced.
//
// Plain functions, thread-safe.
#pragma once

#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "engine/run/job.h"
#include "heed/model/v1/model.pb.h"
#include "server/text/tokenizer.h"

namespace heed {

// A source token: its spelling (Tokenizer::Encode) and the text that stands there.
struct TypedToken {
  std::string_view spelling;
  std::string_view text;
};

// Which source token number `t` of a hypothesis is written as, or -1: as its own piece.
int TypedAs(const DecodedHypothesis& hypothesis, std::size_t t, const model::v1::Vocabulary& target);

// All of them, for Tokenizer::Decode. `source` has an entry for each source position.
std::vector<GivenToken> TypedTokens(const DecodedHypothesis& hypothesis, const model::v1::Vocabulary& target,
                                    absl::Span<const TypedToken> source);

}  // namespace heed
