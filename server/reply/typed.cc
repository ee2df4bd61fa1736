#include "server/reply/typed.h"

namespace heed {

int TypedAs(const DecodedHypothesis& hypothesis, std::size_t t, const model::v1::Vocabulary& target) {
  const TokenId id = hypothesis.tokens[t];
  if (id >= target.size()) return t < hypothesis.copies.size() ? hypothesis.copies[t].source : -1;
  if (id == target.unk_id() && t < hypothesis.sources.size()) return hypothesis.sources[t];
  return -1;
}

std::vector<GivenToken> TypedTokens(const DecodedHypothesis& hypothesis, const model::v1::Vocabulary& target,
                                    absl::Span<const TypedToken> source) {
  std::vector<GivenToken> given;
  for (std::size_t t = 0; t < hypothesis.tokens.size(); ++t) {
    const int from = TypedAs(hypothesis, t, target);
    if (from < 0) continue;
    const TypedToken& token = source[static_cast<std::size_t>(from)];
    given.push_back({static_cast<int>(t), token.spelling, token.text});
  }
  return given;
}

}  // namespace heed
