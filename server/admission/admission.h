// Turns a request into work: model chosen, every field within its bounds, texts cut, tokenised and sized. Only Admit
// builds an AdmittedRequest, so past it nobody checks a request again.
//
// Thread-safe: Admission is immutable; an AdmissionWork is one thread's at a time. Admitting takes CPU time in
// proportion to the text, so that of long ones is done a part at a time, in turn with others'
// (server/lifecycle/text_pool.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/run/job.h"
#include "google/protobuf/duration.pb.h"
#include "heed/v1/text.pb.h"
#include "server/models/registry.h"
#include "server/scheduler/scheduler.h"

namespace heed {

// Which attention a request wants back; empty lists: weights, all attends.
struct AttentionRequest {
  std::vector<v1::AttentionComponent> components;
  v1::AttentionUnit unit = v1::ATTENTION_UNIT_UNSPECIFIED;  // that is pieces
  std::vector<std::string> attends;
};

// A request for text, whichever RPC or protocol it came by.
struct TextRequest {
  v1::Task task = v1::TASK_UNSPECIFIED;
  ModelChoice model;
  std::vector<std::string> texts;
  v1::SearchOptions search;
  v1::TooLongPolicy too_long = v1::TOO_LONG_POLICY_UNSPECIFIED;
  std::optional<AttentionRequest> attention;
  std::optional<std::int64_t> max_reply_bytes;
  std::optional<bool> shortlist;
  v1::Priority priority = v1::PRIORITY_UNSPECIFIED;
  std::optional<google::protobuf::Duration> time_budget;
};

// A request whose model is known, with nothing else of it looked at.
struct SelectedRequest {
  ModelHandle model;
  TextRequest request;
};

// Every bound of a request; each is a flag.
struct AdmissionLimits {
  int max_texts = 256;
  std::int64_t max_text_bytes = 65536;
  int max_segments = 1024;  // of all texts of a request
  int max_beam_size = 16;
  int max_target_tokens = 512;
  std::int64_t default_reply_bytes = 4 << 20;
  std::int64_t max_reply_bytes = 64 << 20;
};

struct AdmittedSegment {
  ByteRange range;  // in its text
  std::vector<v1::Token> source_tokens;
  std::vector<std::string> spellings;  // of the source tokens, where the reply may write some as they were typed
  bool truncated = false;
  int job = -1;  // index into AdmittedRequest::jobs
};

// One text: either an error of its own or its segments.
struct AdmittedText {
  std::string text;
  std::optional<v1::TextError> error;
  std::vector<AdmittedSegment> segments;
};

struct AdmittedRequest {
  ModelHandle model;
  std::vector<AdmittedText> texts;
  std::vector<DecodeJob> jobs;
  std::optional<v1::AttentionUnit> attention;  // what it is told in; none: no attention is returned
  Priority priority = Priority::kInteractive;
  absl::Duration time_budget = absl::InfiniteDuration();  // from the receipt of the request
  std::int64_t source_tokens = 0;
  std::int64_t max_reply_bytes = 0;       // of this reply
  std::int64_t reply_bytes_bound = 0;     // what a request may raise max_reply_bytes to
  std::int64_t reply_bytes_estimate = 0;  // server/admission/reply_size.h

  // Frees its last text; whether there are more.
  bool ReleaseText() {
    if (!texts.empty()) texts.pop_back();
    return !texts.empty();
  }
};

// A request on its way to being admitted.
class AdmissionWork {
 public:
  virtual ~AdmissionWork() = default;
  // Does a part: a segment cut and tokenised, or a text sized. Whether more is left; Admit's errors, after which it
  // does no more. A part takes time in proportion to its longest sentence, at most max_text_bytes: some 0.1 us a byte.
  virtual absl::StatusOr<bool> Step() = 0;
  // Once no more is left.
  virtual AdmittedRequest Take() = 0;
  // Frees a part of a request that nobody wants any more, for that takes time too; whether more is left.
  virtual bool Release() = 0;
};

class Admission {
 public:
  Admission(const Registry* registry, const AdmissionLimits& limits) : registry_(registry), limits_(limits) {}

  // Which model answers it: INVALID_ARGUMENT, NOT_FOUND (Registry::Select).
  absl::StatusOr<SelectedRequest> Select(TextRequest request) const;
  // The rest, a part at a time: the errors of its fields at once, those of its texts from Step. INVALID_ARGUMENT
  // (carries google.rpc details: see server/errors/errors.h), FAILED_PRECONDITION (attention or a shortlist of a
  // model that has none), RESOURCE_EXHAUSTED (the reply could be larger than max_reply_bytes: the message gives both
  // sizes and says what would make it smaller). Faults of one text are in its AdmittedText.
  absl::StatusOr<std::unique_ptr<AdmissionWork>> Start(SelectedRequest selected) const;
  // Both at once.
  absl::StatusOr<AdmittedRequest> Admit(TextRequest request) const;

 private:
  const Registry* registry_;
  AdmissionLimits limits_;
};

}  // namespace heed
