#include "server/reply/reply.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/admission/reply_size.h"
#include "server/reply/attention.h"

namespace heed {
namespace {

// Languages written without spaces between sentences; BCP 47 primary subtags.
bool WritesWithoutSpaces(absl::string_view language) {
  for (absl::string_view tag : {"zh", "ja", "th", "lo", "km", "my"}) {
    if (absl::EqualsIgnoreCase(language, tag) || absl::StartsWithIgnoreCase(language, absl::StrCat(tag, "-"))) {
      return true;
    }
  }
  return false;
}

v1::Hypothesis MakeHypothesis(const ServedModel& model, v1::AttentionUnit unit, absl::Span<const WordSpan> source_words,
                              DecodedHypothesis decoded) {
  const Tokenizer& tokenizer = *model.target_tokenizer;
  DecodedText text = tokenizer.Decode(decoded.tokens);
  v1::Hypothesis hypothesis;
  hypothesis.set_text(std::move(text.text));
  hypothesis.set_log_probability(decoded.log_probability);
  hypothesis.set_score(decoded.score);
  hypothesis.set_finish_reason(decoded.finish == FinishReason::kEos ? v1::FINISH_REASON_EOS : v1::FINISH_REASON_LENGTH);
  std::vector<v1::Token> tokens(decoded.tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    v1::Token& token = tokens[i];
    token.set_piece(std::string(tokenizer.Piece(decoded.tokens[i])));
    token.set_id(decoded.tokens[i]);
    token.set_log_probability(decoded.log_probabilities[i]);
    token.set_begin(text.ranges[i].begin);
    token.set_end(text.ranges[i].end);
    token.set_special(tokenizer.IsSpecial(decoded.tokens[i]));
  }
  std::vector<WordSpan> target_words;
  if (unit == v1::ATTENTION_UNIT_WORDS) target_words = Words(hypothesis.text(), tokens);
  for (AttentionMatrix& matrix : decoded.attentions) {
    const std::string& name = model.plan->attends()[static_cast<std::size_t>(matrix.attend)].name;
    *hypothesis.add_attentions() = MakeAttention(name, std::move(matrix), unit, target_words, source_words);
  }
  hypothesis.mutable_tokens()->Add(std::make_move_iterator(tokens.begin()), std::make_move_iterator(tokens.end()));
  return hypothesis;
}

v1::AttentionUnit UnitOf(const AdmittedRequest& request) {
  return request.attention.has_value() && request.attention->unit() == v1::ATTENTION_UNIT_WORDS
             ? v1::ATTENTION_UNIT_WORDS
             : v1::ATTENTION_UNIT_PIECES;
}

v1::Segment MakeSegment(const AdmittedRequest& request, const AdmittedText& text, const AdmittedSegment& admitted,
                        std::vector<DecodeResult>* decoded) {
  v1::Segment segment;
  segment.set_begin(admitted.range.begin);
  segment.set_end(admitted.range.end);
  segment.set_truncated(admitted.truncated);
  for (const v1::Token& token : admitted.source_tokens) *segment.add_source_tokens() = token;
  if (admitted.job < 0) return segment;
  const v1::AttentionUnit unit = UnitOf(request);
  std::vector<WordSpan> source_words;
  if (unit == v1::ATTENTION_UNIT_WORDS) source_words = Words(text.text, admitted.source_tokens);
  DecodeResult& result = (*decoded)[static_cast<std::size_t>(admitted.job)];
  for (DecodedHypothesis& hypothesis : result.hypotheses) {
    *segment.add_hypotheses() = MakeHypothesis(*request.model, unit, source_words, std::move(hypothesis));
  }
  return segment;
}

// The best hypotheses with the source's own spacing before, between and after them. Two sentences that the source
// writes without a space (Chinese, say) get one where the target language separates sentences by spaces.
std::string JoinSegments(const ServedModel& model, const std::string& source, const v1::TextOutput& output) {
  std::string joined;
  int end = 0;
  for (const v1::Segment& segment : output.segments()) {
    const std::string best = segment.hypotheses().empty() ? "" : segment.hypotheses(0).text();
    const std::size_t gap = static_cast<std::size_t>(segment.begin() - end);
    joined.append(source, static_cast<std::size_t>(end), gap);
    if (gap == 0 && !joined.empty() && !best.empty() && !WritesWithoutSpaces(model.summary.target_language())) {
      joined.push_back(' ');
    }
    joined.append(best);
    end = segment.end();
  }
  if (!output.segments().empty()) joined.append(source, static_cast<std::size_t>(end));
  return joined;
}

}  // namespace

absl::StatusOr<Reply> MakeReply(const AdmittedRequest& request, std::vector<DecodeResult> decoded) {
  Reply reply;
  const v1::ModelSummary& summary = request.model->summary;
  reply.model.set_name(summary.name());
  reply.model.set_version(summary.version());
  reply.model.set_bundle_digest(summary.bundle_digest());
  for (const DecodeResult& result : decoded) {
    if (!result.hypotheses.empty()) {
      reply.target_tokens += static_cast<std::int64_t>(result.hypotheses[0].tokens.size());
    }
  }
  constexpr std::int64_t kFraming = 8;  // tag and length of a result
  std::int64_t bytes = kFraming + static_cast<std::int64_t>(reply.model.ByteSizeLong());
  for (const AdmittedText& text : request.texts) {
    v1::TextResult& result = reply.results.emplace_back();
    if (text.error.has_value()) {
      *result.mutable_error() = *text.error;
    } else {
      v1::TextOutput* output = result.mutable_output();
      for (const AdmittedSegment& segment : text.segments) {
        *output->add_segments() = MakeSegment(request, text, segment, &decoded);
      }
      output->set_text(JoinSegments(*request.model, text.text, *output));
    }
    bytes += kFraming + static_cast<std::int64_t>(result.ByteSizeLong());
    if (bytes > request.max_reply_bytes) return ReplyTooLarge(request, bytes, /*before_decoding=*/false);
  }
  return reply;
}

}  // namespace heed
