#include "server/admission/admission.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/admission/fields.h"
#include "server/admission/reply_size.h"
#include "server/admission/search_fields.h"
#include "server/admission/source.h"
#include "server/errors/errors.h"
#include "server/text/clauses.h"
#include "server/text/utf8.h"

namespace heed {
namespace {

// What every segment of a request has in common.
struct Common {
  ModelHandle model;
  ResolvedSearch search;
  Capture capture;
  v1::TooLongPolicy too_long = v1::TOO_LONG_POLICY_UNSPECIFIED;
  bool shortlist = false;
};

// "WHAT has VALUE QUANTITY; at most BOUND are taken".
v1::TextError OutOfRange(absl::string_view what, absl::string_view quantity, std::int64_t value, std::int64_t bound) {
  v1::TextError error;
  error.set_code(static_cast<int>(absl::StatusCode::kOutOfRange));
  error.set_message(absl::StrCat(what, " has ", value, " ", quantity, "; at most ", bound, " are taken"));
  error.set_quantity(std::string(quantity));
  error.set_value(value);
  error.set_bound(bound);
  return error;
}

// The source tokens of a segment that begins at byte `begin` of its text.
std::vector<v1::Token> ApiTokens(const SourceTokens& source, const Tokenizer& tokenizer, int begin) {
  std::vector<v1::Token> tokens(source.ids.size());
  for (int i = 0; i < static_cast<int>(tokens.size()); ++i) {
    const std::size_t at = static_cast<std::size_t>(i);
    tokens[at].set_piece(std::string(tokenizer.Piece(source.ids[at])));
    tokens[at].set_id(source.ids[at]);
    tokens[at].set_begin(begin + source.ranges[at].begin);
    tokens[at].set_end(begin + source.ranges[at].end);
    tokens[at].set_special(i < source.text_begin || i >= source.text_end);
  }
  return tokens;
}

// Cuts a segment's pieces to the model's bound, or says that they are too many.
std::optional<v1::TextError> FitSource(const Common& common, int specials, AdmittedSegment* segment,
                                       EncodedText* encoded) {
  const int bound = common.model->summary.max_source_tokens();
  const int pieces = static_cast<int>(encoded->ids.size());
  if (pieces + specials <= bound) return std::nullopt;
  if (common.too_long != v1::TOO_LONG_POLICY_TRUNCATE) {
    return OutOfRange("a segment of the text", "source tokens", pieces + specials, bound);
  }
  const std::size_t kept = static_cast<std::size_t>(std::max(0, bound - specials));
  encoded->ids.resize(kept);
  encoded->ranges.resize(kept);
  encoded->spellings.resize(kept);
  segment->truncated = true;
  return std::nullopt;
}

// Tokenises one segment and makes its job. A segment without a single piece (control characters that the vocabulary's
// normalisation removes) has nothing to decode and gets no job.
std::optional<v1::TextError> AdmitSegment(const Common& common, std::string_view text, AdmittedSegment* segment,
                                          std::vector<DecodeJob>* jobs) {
  const model::v1::Vocabulary& vocabulary = common.model->spec.source();
  const Tokenizer& tokenizer = *common.model->source_tokenizer;
  const ByteRange range = segment->range;
  EncodedText encoded = tokenizer.Encode(
      text.substr(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.end - range.begin)));
  if (auto error = FitSource(common, AddedSpecials(vocabulary), segment, &encoded)) return error;
  if (encoded.ids.empty()) return std::nullopt;

  const int bytes = segment->truncated ? encoded.ranges.back().end : range.end - range.begin;
  SourceTokens source = WithSpecials(vocabulary, std::move(encoded), bytes);
  DecodeJob job;
  SetSource(source, *common.model, common.shortlist, &job);
  common.search.Apply(&job);
  job.capture = common.capture;
  segment->source_tokens = ApiTokens(source, tokenizer, range.begin);
  if (common.model->plan->copies() || job.sources) segment->spellings = std::move(source.spellings);
  segment->job = static_cast<int>(jobs->size());
  jobs->push_back(std::move(job));
  return std::nullopt;
}

// What is wrong with a text before it is cut.
std::optional<v1::TextError> CheckText(const std::string& text, const AdmissionLimits& limits) {
  const std::int64_t bytes = static_cast<std::int64_t>(text.size());
  if (bytes > limits.max_text_bytes) return OutOfRange("the text", "bytes", bytes, limits.max_text_bytes);
  if (IsValidUtf8(text)) return std::nullopt;
  v1::TextError error;
  error.set_code(static_cast<int>(absl::StatusCode::kInvalidArgument));
  error.set_message("the text is not valid UTF-8");
  return error;
}

absl::Status CheckTextCount(std::size_t count, const AdmissionLimits& limits) {
  if (count >= 1 && count <= static_cast<std::size_t>(limits.max_texts)) return absl::OkStatus();
  return InvalidField("texts", absl::StrCat("a list of ", count), absl::StrCat("a list of 1 to ", limits.max_texts));
}

// Texts are cut and tokenised, a segment a step, then sized, a text a step.
class TextsWork : public AdmissionWork {
 public:
  TextsWork(const AdmissionLimits& limits, Common common, AdmittedRequest admitted, std::vector<std::string> texts)
      : limits_(limits), common_(std::move(common)), admitted_(std::move(admitted)) {
    // None moves while it is cut.
    admitted_.texts.resize(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) admitted_.texts[i].text = std::move(texts[i]);
  }

  absl::StatusOr<bool> Step() override {
    if (cut_ < admitted_.texts.size()) {
      AdmittedText* const text = &admitted_.texts[cut_];
      if (AdmitNextSegment(text)) return true;
      segments_ += text->segments.size();
      if (segments_ > static_cast<std::size_t>(limits_.max_segments)) {
        return InvalidField("texts", absl::StrCat("more than ", limits_.max_segments, " segments (sentences)"),
                            absl::StrCat("at most ", limits_.max_segments, " in all; send fewer texts at a time"));
      }
      cutter_.reset();
      rest_.reset();
      begun_ = false;
      ++cut_;
      return true;
    }
    if (sized_ == 0) {
      for (const DecodeJob& job : admitted_.jobs) {
        admitted_.source_tokens += static_cast<std::int64_t>(job.source.size());
      }
      admitted_.reply_bytes_estimate = EstimateBareReplyBytes();
    }
    admitted_.reply_bytes_estimate += EstimateTextBytes(admitted_, admitted_.texts[sized_]);
    if (++sized_ < admitted_.texts.size()) return true;
    if (admitted_.reply_bytes_estimate > admitted_.max_reply_bytes) {
      return ReplyTooLarge(admitted_, admitted_.reply_bytes_estimate, /*before_decoding=*/true);
    }
    return false;
  }

  AdmittedRequest Take() override { return std::move(admitted_); }
  bool Release() override { return admitted_.ReleaseText(); }

 private:
  // Cuts and tokenises the text's next segment; false where it has no more. The text's jobs stay only if all of it is
  // in order.
  bool AdmitNextSegment(AdmittedText* text) {
    if (!begun_) {
      begun_ = true;
      jobs_before_ = admitted_.jobs.size();
      text->error = CheckText(text->text, limits_);
      if (text->error.has_value()) return false;
      if (common_.model->splitter.has_value()) cutter_ = common_.model->splitter->Start(text->text);
    }
    AdmittedSegment segment;
    if (rest_.has_value()) {
      segment.range = *rest_;
    } else if (cutter_ != nullptr) {
      const std::optional<ByteRange> sentence = cutter_->Next();
      if (!sentence.has_value()) return false;
      segment.range = *sentence;
    } else {
      const std::vector<ByteRange> whole = SentenceSplitter::Whole(text->text);
      if (whole.empty()) return false;
      segment.range = whole[0];
    }
    rest_ = common_.too_long == v1::TOO_LONG_POLICY_SPLIT ? Split(text->text, &segment.range) : std::nullopt;
    text->error = AdmitSegment(common_, text->text, &segment, &admitted_.jobs);
    if (text->error.has_value()) {
      admitted_.jobs.resize(jobs_before_);
      text->segments.clear();
      return false;
    }
    text->segments.push_back(std::move(segment));
    return cutter_ != nullptr || rest_.has_value();
  }

  // Cuts a range of the text down to its first part that fits the model; what is left, if anything is.
  std::optional<ByteRange> Split(const std::string& text, ByteRange* range) const {
    const ServedModel& model = *common_.model;
    const int bound = model.summary.max_source_tokens() - AddedSpecials(model.spec.source());
    if (bound < 1) return std::nullopt;
    const std::string_view all(text.data() + range->begin, static_cast<std::size_t>(range->end - range->begin));
    const int part = FittingPart(*model.source_tokenizer, all, bound);
    const ByteRange rest = TrimWhiteSpace(text, {range->begin + part, range->end});
    *range = TrimWhiteSpace(text, {range->begin, range->begin + part});
    return rest.begin < rest.end ? std::optional(rest) : std::nullopt;
  }

  const AdmissionLimits limits_;
  const Common common_;
  AdmittedRequest admitted_;
  std::size_t cut_ = 0, sized_ = 0;  // texts
  std::size_t segments_ = 0;
  // Of the text that is being cut.
  bool begun_ = false;
  std::size_t jobs_before_ = 0;
  std::unique_ptr<SentenceCutter> cutter_;  // null: it is one segment
  std::optional<ByteRange> rest_;           // of a segment that is split
};

}  // namespace

absl::StatusOr<SelectedRequest> Admission::Select(TextRequest request) const {
  HEED_ASSIGN_OR_RETURN(const ModelHandle model, registry_->Select(request.task, request.model));
  return SelectedRequest{model, std::move(request)};
}

absl::StatusOr<std::unique_ptr<AdmissionWork>> Admission::Start(SelectedRequest selected) const {
  TextRequest& request = selected.request;
  HEED_RETURN_IF_ERROR(CheckTextCount(request.texts.size(), limits_));
  AdmittedRequest admitted;
  Common common;
  common.model = selected.model;
  HEED_ASSIGN_OR_RETURN(common.search, ResolveSearch(request.search, *common.model, limits_));
  HEED_ASSIGN_OR_RETURN(common.capture, ResolveCapture(request.attention, *common.model));
  HEED_RETURN_IF_ERROR(CheckTooLongPolicy(request.too_long));
  HEED_ASSIGN_OR_RETURN(common.shortlist, ResolveShortlist(request.shortlist, *common.model));
  HEED_ASSIGN_OR_RETURN(admitted.max_reply_bytes, ResolveReplyBytes(request.max_reply_bytes, limits_));
  HEED_ASSIGN_OR_RETURN(admitted.priority, ResolvePriority(request.priority));
  HEED_ASSIGN_OR_RETURN(admitted.time_budget, ResolveTimeBudget(request.time_budget));
  admitted.reply_bytes_bound = limits_.max_reply_bytes;
  common.too_long =
      request.too_long != v1::TOO_LONG_POLICY_UNSPECIFIED ? request.too_long : common.model->spec.limits().too_long();
  admitted.model = common.model;
  if (request.attention.has_value()) admitted.attention = request.attention->unit;
  return std::make_unique<TextsWork>(limits_, std::move(common), std::move(admitted), std::move(request.texts));
}

absl::StatusOr<AdmittedRequest> Admission::Admit(TextRequest request) const {
  HEED_ASSIGN_OR_RETURN(SelectedRequest selected, Select(std::move(request)));
  HEED_ASSIGN_OR_RETURN(const std::unique_ptr<AdmissionWork> work, Start(std::move(selected)));
  while (true) {
    HEED_ASSIGN_OR_RETURN(const bool more, work->Step());
    if (!more) return work->Take();
  }
}

}  // namespace heed
