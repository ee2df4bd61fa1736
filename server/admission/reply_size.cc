#include "server/admission/reply_size.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/errors/errors.h"

namespace heed {
namespace {

// Encoded sizes: a message's tags, lengths and small numbers, rounded up.
constexpr std::int64_t kMessageBytes = 12;
constexpr std::int64_t kHypothesisBytes = 32;
constexpr std::int64_t kTargetTokenBytes = 32;  // piece, id, log-probability and range
constexpr std::int64_t kCopiedFromBytes = 20;   // of a token of a model that copies
constexpr std::int64_t kReplacedByBytes = 6;    // of an unknown that is replaced
constexpr std::int64_t kConfidenceBytes = 5;    // of a token of a model whose tokens are calibrated
constexpr std::int64_t kCoverageBytes = 14;     // of a segment of a model that says what it reads
constexpr std::int64_t kAttentionBytes = 48;
constexpr std::int64_t kWordBytes = 16;

std::int64_t WordCount(const std::string& text, const std::vector<v1::Token>& tokens) {
  std::vector<ByteRange> ranges;
  auto special = std::make_unique<bool[]>(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    ranges.push_back({tokens[i].begin(), tokens[i].end()});
    special[i] = tokens[i].special();
  }
  return static_cast<std::int64_t>(GroupWords(text, ranges, absl::MakeConstSpan(special.get(), tokens.size())).size());
}

std::int64_t SegmentBytes(const AdmittedRequest& request, const std::string& text, const AdmittedSegment& segment) {
  std::int64_t bytes = kMessageBytes;
  for (const v1::Token& token : segment.source_tokens) {
    bytes += static_cast<std::int64_t>(token.ByteSizeLong()) + 3;
  }
  if (segment.job < 0) return bytes;
  const model::v1::ModelSpec& spec = request.model->spec;
  if (spec.has_source_scripts()) bytes += kCoverageBytes;
  const DecodeJob& job = request.jobs[static_cast<std::size_t>(segment.job)];
  const std::int64_t columns = static_cast<std::int64_t>(segment.source_tokens.size());
  const std::int64_t rows = job.search.max_length;
  const std::int64_t likely_tokens = std::min(rows, columns);
  std::int64_t token = kTargetTokenBytes;
  if (!job.copy_ids.empty()) token += kCopiedFromBytes;
  if (job.sources) token += kReplacedByBytes;
  if (spec.confidence().has_token()) token += kConfidenceBytes;
  std::int64_t hypothesis = kHypothesisBytes + likely_tokens * token + (segment.range.end - segment.range.begin);
  const MatrixCounts matrices = MatricesOf(request, job.capture);
  if (matrices.all() > 0) {
    const bool words = *request.attention == v1::ATTENTION_UNIT_WORDS;
    const std::int64_t width = words ? WordCount(text, segment.source_tokens) : columns;
    const std::int64_t labels = words ? (rows + width) * kWordBytes : 0;
    hypothesis += matrices.all() * kAttentionBytes + matrices.of_source * (labels + 4 * rows * width) +
                  4 * rows * matrices.context_columns;
  }
  return bytes + job.search.n_best * hypothesis;
}

}  // namespace

MatrixCounts MatricesOf(const AdmittedRequest& request, const Capture& capture) {
  MatrixCounts counts;
  for (int attend : capture.attends) {
    const AttendInfo& info = request.model->plan->attends()[static_cast<std::size_t>(attend)];
    counts.of_source += info.heads * (static_cast<int>(capture.weights) + static_cast<int>(capture.energies));
    if (!capture.contexts) continue;
    ++counts.of_contexts;
    counts.context_columns += info.context;
  }
  return counts;
}

std::int64_t EstimateBareReplyBytes() { return 128; }  // the model's identity

std::int64_t EstimateTextBytes(const AdmittedRequest& request, const AdmittedText& text) {
  if (text.error.has_value()) return kMessageBytes + static_cast<std::int64_t>(text.error->ByteSizeLong());
  std::int64_t bytes = kMessageBytes + static_cast<std::int64_t>(text.text.size());
  for (const AdmittedSegment& segment : text.segments) bytes += SegmentBytes(request, text.text, segment);
  return bytes;
}

absl::Status ReplyTooLarge(const AdmittedRequest& request, std::int64_t bytes, bool before_decoding) {
  std::vector<std::string> remedies;
  if (request.texts.size() > 1) remedies.push_back("fewer texts");
  const Capture* capture = request.jobs.empty() ? nullptr : &request.jobs[0].capture;
  if (capture != nullptr && capture->any()) {
    const bool more = capture->energies || capture->contexts;
    if (capture->weights && more) remedies.push_back("weights alone");
    if (!more && *request.attention != v1::ATTENTION_UNIT_WORDS) {
      remedies.push_back("words instead of pieces");
    }
    remedies.push_back("a lower max_length");
  }
  if (!request.jobs.empty() && request.jobs[0].search.n_best > 1) remedies.push_back("a lower n_best");
  if (request.max_reply_bytes < request.reply_bytes_bound) {
    remedies.push_back(absl::StrCat("a higher max_reply_bytes (at most ", request.reply_bytes_bound, ")"));
  }
  return ErrorWithInfo(absl::StatusCode::kResourceExhausted,
                       absl::StrCat("the reply ", before_decoding ? "could take " : "takes more than ", bytes,
                                    " bytes, over max_reply_bytes (", request.max_reply_bytes, "); ask for ",
                                    remedies.empty() ? "shorter texts" : absl::StrJoin(remedies, ", or ")),
                       "REPLY_TOO_LARGE",
                       {{"bytes", absl::StrCat(bytes)}, {"max_reply_bytes", absl::StrCat(request.max_reply_bytes)}});
}

}  // namespace heed
