#include "server/reply/reply.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/admission/reply_size.h"
#include "server/reply/attention.h"
#include "server/reply/confidence.h"
#include "server/reply/tokens.h"
#include "server/reply/typed.h"

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

// What every hypothesis of a segment has in common.
struct SourceSide {
  std::vector<TypedToken> tokens;  // empty where nothing is ever written as it was typed
  v1::AttentionUnit unit = v1::ATTENTION_UNIT_PIECES;
  std::vector<WordSpan> words;  // where the unit is words
};

}  // namespace

v1::Token MakeToken(const ServedModel& model, const DecodedHypothesis& decoded, std::size_t t) {
  const model::v1::Vocabulary& target = model.spec.target();
  // A copied token from beyond the vocabulary is what the model reads at the next step: the unknown piece.
  const TokenId id = decoded.tokens[t] < target.size() ? decoded.tokens[t] : target.unk_id();
  v1::Token token;
  token.set_piece(std::string(model.target_tokenizer->Piece(id)));
  token.set_id(id);
  token.set_log_probability(decoded.log_probabilities[t]);
  token.set_special(model.target_tokenizer->IsSpecial(id));
  if (t < decoded.copies.size()) {
    const CopiedToken& copied = decoded.copies[t];
    v1::CopiedFrom* from = token.mutable_copied_from();
    from->set_gate(copied.gate);
    from->set_share(copied.share);
    if (copied.source >= 0) from->set_source_token(copied.source);
  }
  if (decoded.tokens[t] == target.unk_id()) {
    if (const int source = TypedAs(decoded, t, target); source >= 0) token.set_replaced_by(source);
  }
  return token;
}

std::vector<TypedToken> TypedSource(const std::string& text, const AdmittedSegment& segment) {
  std::vector<TypedToken> typed;
  typed.reserve(segment.spellings.size());
  for (std::size_t i = 0; i < segment.spellings.size(); ++i) {
    const v1::Token& token = segment.source_tokens[i];
    const std::string_view all = text;
    typed.push_back({segment.spellings[i], all.substr(static_cast<std::size_t>(token.begin()),
                                                      static_cast<std::size_t>(token.end() - token.begin()))});
  }
  return typed;
}

v1::ModelIdentity IdentityOf(const ServedModel& model) {
  v1::ModelIdentity identity;
  identity.set_name(model.summary.name());
  identity.set_version(model.summary.version());
  identity.set_bundle_digest(model.summary.bundle_digest());
  return identity;
}

namespace {

v1::FinishReason ReasonOf(FinishReason finish) {
  switch (finish) {
    case FinishReason::kEos:
      return v1::FINISH_REASON_EOS;
    case FinishReason::kLength:
      return v1::FINISH_REASON_LENGTH;
    case FinishReason::kStopped:
      break;
  }
  return v1::FINISH_REASON_TIME_BUDGET;
}

v1::Hypothesis MakeHypothesis(const ServedModel& model, const SourceSide& source, DecodedHypothesis decoded) {
  const v1::AttentionUnit unit = source.unit;
  DecodedText text =
      model.target_tokenizer->Decode(decoded.tokens, TypedTokens(decoded, model.spec.target(), source.tokens));
  v1::Hypothesis hypothesis;
  hypothesis.set_text(std::move(text.text));
  hypothesis.set_log_probability(decoded.log_probability);
  hypothesis.set_score(decoded.score);
  hypothesis.set_finish_reason(ReasonOf(decoded.finish));
  std::vector<v1::Token> tokens(decoded.tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = MakeToken(model, decoded, i);
    tokens[i].set_begin(text.ranges[i].begin);
    tokens[i].set_end(text.ranges[i].end);
  }
  std::vector<WordSpan> target_words;
  if (unit == v1::ATTENTION_UNIT_WORDS) target_words = Words(hypothesis.text(), tokens);
  for (AttentionMatrix& matrix : decoded.attentions) {
    const std::string& name = model.plan->attends()[static_cast<std::size_t>(matrix.attend)].name;
    *hypothesis.add_attentions() = MakeAttention(name, std::move(matrix), unit, target_words, source.words);
  }
  hypothesis.mutable_tokens()->Add(std::make_move_iterator(tokens.begin()), std::make_move_iterator(tokens.end()));
  return hypothesis;
}

v1::AttentionUnit UnitOf(const AdmittedRequest& request) {
  return request.attention.has_value() && *request.attention == v1::ATTENTION_UNIT_WORDS ? v1::ATTENTION_UNIT_WORDS
                                                                                         : v1::ATTENTION_UNIT_PIECES;
}

// Bytes of the request's own text that the output of a text repeats, at the least: one long word may be copied at every
// step, so this is known before any text is put together.
std::int64_t TypedBytes(const AdmittedRequest& request, const AdmittedText& text,
                        const std::vector<DecodeResult>& decoded) {
  const model::v1::Vocabulary& target = request.model->spec.target();
  std::int64_t bytes = 0;
  for (const AdmittedSegment& segment : text.segments) {
    if (segment.spellings.empty() || segment.job < 0) continue;
    for (const DecodedHypothesis& hypothesis : decoded[static_cast<std::size_t>(segment.job)].hypotheses) {
      for (std::size_t t = 0; t < hypothesis.tokens.size(); ++t) {
        const int from = TypedAs(hypothesis, t, target);
        if (from < 0) continue;
        const v1::Token& token = segment.source_tokens[static_cast<std::size_t>(from)];
        bytes += token.end() - token.begin();
      }
    }
  }
  return bytes;
}

// The best hypotheses with the source's own spacing before, between and after them; of a text of spaces alone, those.
// Two sentences that the source writes without a space (Chinese, say) get one where the target language separates
// sentences by spaces; a plain space between two is left out where it does not.
std::string JoinSegments(const ServedModel& model, const std::string& source, const v1::TextOutput& output) {
  std::string joined;
  int end = 0;
  const bool unspaced = WritesWithoutSpaces(model.summary.target_language());
  for (const v1::Segment& segment : output.segments()) {
    const std::string best = segment.hypotheses().empty() ? "" : segment.hypotheses(0).text();
    const absl::string_view gap = absl::string_view(source).substr(static_cast<std::size_t>(end),
                                                                   static_cast<std::size_t>(segment.begin() - end));
    if (end == 0 || !unspaced || gap != " ") absl::StrAppend(&joined, gap);
    if (gap.empty() && !joined.empty() && !best.empty() && !unspaced) joined.push_back(' ');
    joined.append(best);
    end = segment.end();
  }
  joined.append(source, static_cast<std::size_t>(end));
  return joined;
}

}  // namespace

constexpr std::int64_t kFraming = 8;  // tag and length of a result

int TargetTokens(const DecodeResult& result) {
  return result.hypotheses.empty() ? 0 : static_cast<int>(result.hypotheses[0].tokens.size());
}

struct ReplyMaker::Text {
  const AdmittedText* admitted = nullptr;
  std::vector<DecodeResult>* decoded = nullptr;
  v1::TextResult result;
  bool begun = false;
  std::size_t segment = 0;     // next; while one is being made, the one after it
  v1::Segment* out = nullptr;  // the one that is being made
  DecodeResult* from = nullptr;
  std::size_t hypothesis = 0;  // next
  SourceSide source;
};

ReplyMaker::ReplyMaker(const AdmittedRequest* request)
    : request_(request),
      model_(IdentityOf(*request->model)),
      bytes_(kFraming + static_cast<std::int64_t>(model_.ByteSizeLong())) {}

ReplyMaker::~ReplyMaker() = default;

void ReplyMaker::Begin(int text, std::vector<DecodeResult>* decoded) {
  making_ = std::make_unique<Text>();
  making_->admitted = &request_->texts[static_cast<std::size_t>(text)];
  making_->decoded = decoded;
}

absl::StatusOr<std::optional<v1::TextResult>> ReplyMaker::Step() {
  Text& text = *making_;
  const AdmittedText& admitted = *text.admitted;
  if (admitted.error.has_value()) {
    *text.result.mutable_error() = *admitted.error;
    return End();
  }
  if (!text.begun) {
    text.begun = true;
    for (const AdmittedSegment& segment : admitted.segments) {
      if (segment.job >= 0) target_tokens_ += TargetTokens((*text.decoded)[static_cast<std::size_t>(segment.job)]);
    }
    if (const std::int64_t typed = bytes_ + TypedBytes(*request_, admitted, *text.decoded);
        typed > request_->max_reply_bytes) {
      return ReplyTooLarge(*request_, typed, /*before_decoding=*/false);
    }
  }
  if (Grow()) return std::nullopt;
  v1::TextOutput* const output = text.result.mutable_output();
  output->set_text(JoinSegments(*request_->model, admitted.text, *output));
  return End();
}

bool ReplyMaker::Grow() {
  Text& text = *making_;
  if (text.from != nullptr) {
    AddHypothesis(MakeHypothesis(*request_->model, text.source, std::move(text.from->hypotheses[text.hypothesis])));
    if (++text.hypothesis == text.from->hypotheses.size()) text.from = nullptr;
    return true;
  }
  if (text.segment == text.admitted->segments.size()) return false;
  const AdmittedSegment& admitted = text.admitted->segments[text.segment++];
  text.out = text.result.mutable_output()->add_segments();
  text.out->set_begin(admitted.range.begin);
  text.out->set_end(admitted.range.end);
  text.out->set_truncated(admitted.truncated);
  for (const v1::Token& token : admitted.source_tokens) *text.out->add_source_tokens() = token;
  if (admitted.job < 0) return true;
  if (auto coverage = CoverageOf(*request_->model, admitted.source_tokens)) {
    if (coverage->low()) ++low_coverage_segments_;
    *text.out->mutable_source_coverage() = *std::move(coverage);
  }
  text.source = {.tokens = TypedSource(text.admitted->text, admitted), .unit = UnitOf(*request_)};
  if (text.source.unit == v1::ATTENTION_UNIT_WORDS) {
    text.source.words = Words(text.admitted->text, admitted.source_tokens);
  }
  DecodeResult& result = (*text.decoded)[static_cast<std::size_t>(admitted.job)];
  text.hypothesis = 0;
  if (!result.hypotheses.empty()) {
    text.from = &result;
  } else {  // search always finds one; none means that the time budget was over before its first step
    v1::Hypothesis nothing;
    nothing.set_finish_reason(v1::FINISH_REASON_TIME_BUDGET);
    AddHypothesis(std::move(nothing));
  }
  return true;
}

void ReplyMaker::AddHypothesis(v1::Hypothesis hypothesis) {
  v1::Segment& segment = *making_->out;
  if (request_->model->spec.has_confidence()) {
    AddConfidence(request_->model->spec.confidence(), segment.source_tokens_size(), &hypothesis);
    if (segment.hypotheses().empty() && hypothesis.doubtful()) ++doubtful_outputs_;
  }
  *segment.add_hypotheses() = std::move(hypothesis);
}

absl::StatusOr<std::optional<v1::TextResult>> ReplyMaker::End() {
  v1::TextResult result = std::move(making_->result);
  making_.reset();
  bytes_ += kFraming + static_cast<std::int64_t>(result.ByteSizeLong());
  if (bytes_ > request_->max_reply_bytes) return ReplyTooLarge(*request_, bytes_, /*before_decoding=*/false);
  return result;
}

absl::StatusOr<v1::TextResult> ReplyMaker::Make(int text, std::vector<DecodeResult>* decoded) {
  Begin(text, decoded);
  while (true) {
    HEED_ASSIGN_OR_RETURN(std::optional<v1::TextResult> result, Step());
    if (result.has_value()) return *std::move(result);
  }
}

absl::StatusOr<Reply> MakeReply(const AdmittedRequest& request, std::vector<DecodeResult> decoded) {
  ReplyMaker maker(&request);
  Reply reply;
  for (std::size_t text = 0; text < request.texts.size(); ++text) {
    HEED_ASSIGN_OR_RETURN(v1::TextResult result, maker.Make(static_cast<int>(text), &decoded));
    reply.results.push_back(std::move(result));
  }
  reply.model = maker.model();
  reply.target_tokens = maker.target_tokens();
  return reply;
}

}  // namespace heed
