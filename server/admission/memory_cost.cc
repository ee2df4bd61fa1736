#include "server/admission/memory_cost.h"

#include <algorithm>
#include <string>
#include <vector>

#include "heed/v1/attention.pb.h"
#include "server/admission/reply_size.h"

namespace heed {
namespace {

constexpr std::int64_t kPieceBytes = 32;         // of a target token's piece, and of its part of the text
constexpr std::int64_t kStringBytes = 48;        // a std::string of a message: itself and the allocator's header
constexpr std::int64_t kObjectBytes = 24;        // an element of a repeated field: header and pointer
constexpr std::int64_t kEncodedTokenBytes = 72;  // of a reply: numbers and ranges, copied_from, piece
// A token of a reply is made in a vector and moved from there.
constexpr std::int64_t kTargetTokenBytes =
    2 * static_cast<std::int64_t>(sizeof(v1::Token)) + kObjectBytes + kStringBytes + 2 * kPieceBytes;
constexpr std::int64_t kCopiedFromBytes = static_cast<std::int64_t>(sizeof(v1::CopiedFrom)) + kObjectBytes;
constexpr std::int64_t kCoverageBytes = static_cast<std::int64_t>(sizeof(v1::SourceCoverage)) + kObjectBytes;
constexpr std::int64_t kWordBytes = static_cast<std::int64_t>(sizeof(v1::Word)) + kObjectBytes;

template <typename T>
std::int64_t VectorBytes(const std::vector<T>& values) {
  return static_cast<std::int64_t>(values.capacity() * sizeof(T));
}

// Beside the object itself, where it does not fit in it.
std::int64_t HeapBytes(const std::string& text) {
  return text.capacity() > std::string().capacity() ? static_cast<std::int64_t>(text.capacity()) + 1 : 0;
}

std::int64_t TokensBytes(const std::vector<v1::Token>& tokens) {
  std::int64_t bytes = VectorBytes(tokens);
  for (const v1::Token& token : tokens) bytes += kStringBytes + HeapBytes(token.piece());
  return bytes;
}

std::int64_t SegmentBytes(const AdmittedSegment& segment) {
  std::int64_t bytes = TokensBytes(segment.source_tokens) + VectorBytes(segment.spellings);
  for (const std::string& spelling : segment.spellings) bytes += HeapBytes(spelling);
  return bytes;
}

std::int64_t WaitingBytes(const AdmittedRequest& request) {
  std::int64_t bytes = VectorBytes(request.texts) + VectorBytes(request.jobs);
  for (const AdmittedText& text : request.texts) {
    bytes += HeapBytes(text.text) + VectorBytes(text.segments);
    for (const AdmittedSegment& segment : text.segments) bytes += SegmentBytes(segment);
  }
  for (const DecodeJob& job : request.jobs) {
    bytes += VectorBytes(job.source) + VectorBytes(job.copy_ids) + VectorBytes(job.shortlist) +
             VectorBytes(job.capture.attends) + VectorBytes(job.search.banned);
  }
  return bytes;
}

// What a job's hypotheses take in the reply's messages beside what reply_bytes_estimate says.
std::int64_t HypothesesBytes(const AdmittedRequest& request, const DecodeJob& job) {
  const std::int64_t rows = job.search.max_length;
  std::int64_t token = kTargetTokenBytes;
  if (!job.copy_ids.empty()) token += kCopiedFromBytes;
  std::int64_t hypothesis = static_cast<std::int64_t>(sizeof(v1::Hypothesis)) + kObjectBytes + rows * token;
  if (const MatrixCounts matrices = MatricesOf(request, job.capture); matrices.all() > 0) {
    std::int64_t matrix = static_cast<std::int64_t>(sizeof(v1::Attention) + sizeof(v1::DenseMatrix)) + kObjectBytes;
    if (*request.attention == v1::ATTENTION_UNIT_WORDS) {
      matrix += (rows + static_cast<std::int64_t>(job.source.size())) * kWordBytes;
    }
    hypothesis += matrices.all() * matrix;
  }
  return job.search.n_best * hypothesis;
}

}  // namespace

MemoryCost CostOf(const AdmittedRequest& request, bool streamed) {
  MemoryCost cost;
  cost.waiting = WaitingBytes(request);
  std::int64_t messages = request.reply_bytes_estimate;
  std::int64_t encoded = request.reply_bytes_estimate;
  cost.running = cost.waiting;
  for (const AdmittedText& text : request.texts) {
    messages += static_cast<std::int64_t>(sizeof(v1::TextResult) + sizeof(v1::TextOutput)) + kObjectBytes;
    for (const AdmittedSegment& segment : text.segments) {
      messages += static_cast<std::int64_t>(sizeof(v1::Segment)) + kObjectBytes + TokensBytes(segment.source_tokens) +
                  kObjectBytes * static_cast<std::int64_t>(segment.source_tokens.size());
      if (request.model->spec.has_source_scripts()) messages += kCoverageBytes;
    }
  }
  for (const DecodeJob& job : request.jobs) {
    cost.running += request.model->plan->JobBytes(job);
    messages += HypothesesBytes(request, job);
    encoded += std::int64_t{job.search.n_best} * job.search.max_length * (kEncodedTokenBytes + kPieceBytes);
  }
  if (streamed) messages *= 3;
  cost.running += messages + std::min(encoded, request.max_reply_bytes);
  return cost;
}

}  // namespace heed
