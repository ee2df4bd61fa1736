// What a stream tells, and when: the rule of a streamed answer. Tokens and results that the scheduler gave go in;
// events come out, in parts, and the word to write them, to wait or to end. stream_exchange.h adds the lock, the
// threads and the sink.
//
//   StreamWriter writer(&admitted);                  // before its jobs are taken
//   writer.Take(news);                               // what the scheduler told since the last time
//   while (writer.next() == StreamWriter::Next::kMake) Keep(writer.Make());
//   if (writer.next() == StreamWriter::Next::kWrite) { writer.BeginWrite(); ... writer.EndWrite(true); }
//
// Events: the model first; a job's tokens as they settle, those that came together in one event; a text's result as
// soon as its last job has ended; the results of texts without a job, or with one that never started, at the end.
//
// Not thread-safe; Make is text work: not for a step thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "engine/run/job.h"
#include "heed/v1/stream.pb.h"
#include "server/admission/admission.h"
#include "server/reply/reply.h"
#include "server/reply/segment_stream.h"

namespace heed {

// What the scheduler told, in its order (WorkItem::progress, finished, done).
struct StreamNews {
  std::vector<std::pair<int, DecodedHypothesis>> fresh;  // by job
  std::vector<std::pair<int, DecodeResult>> finished;    // by job
  std::optional<absl::Status> decoded;                   // nothing comes after it

  bool empty() const { return fresh.empty() && finished.empty() && !decoded.has_value(); }
};

class StreamWriter {
 public:
  enum class Next {
    kWait,   // for Take or, while a write is under way, for EndWrite
    kMake,   // Make has a part to do
    kWrite,  // what was made since the last write is to be written
    kEnd,    // everything is told, or nothing more can be: status() is the answer
  };

  // `request` outlives it.
  explicit StreamWriter(const AdmittedRequest* request);

  // Inputs. Take: not while there is something to make of what was taken before.
  void Take(StreamNews news);
  void BeginWrite() { writing_ = true; }
  void EndWrite(bool ok);  // false: nobody reads any more
  // Nothing more is made: it cannot be told, or (Die) its client would not hear it: CANCELLED, DEADLINE_EXCEEDED. The
  // scheduler's word is waited for. OK changes nothing.
  void Fail(const absl::Status& status) { failed_.Update(status); }
  void Die(const absl::Status& status) { dead_.Update(status); }

  // Outputs.
  Next next() const;
  // Does a part; the event that is whole with it, if one is.
  std::optional<v1::StreamEvent> Make();
  // The rest is not wanted: the scheduler may be told.
  bool stopped() const { return !failed_.ok() || gone_; }
  // There will be no whole answer.
  bool failed() const { return !failed_.ok() || !dead_.ok() || (decoded_.has_value() && !decoded_->ok()); }
  bool decoded() const { return decoded_.has_value(); }
  absl::Status status() const;
  const std::vector<int>& target_tokens() const { return target_tokens_; }  // by job
  const ReplyMaker& maker() const { return maker_; }                        // for its counts

 private:
  struct Job {
    int text = 0;
    std::unique_ptr<SegmentStream> stream;
  };

  bool has_parts() const;
  SegmentStream& StreamOf(int job) { return *jobs_[static_cast<std::size_t>(job)].stream; }
  std::optional<v1::StreamEvent> Progress(int job, bool end);
  // The rest of a segment and, with a text's last one, the text's result begun.
  std::optional<v1::StreamEvent> EndSegment(int job, DecodeResult result);
  void BeginResult(int text);
  std::optional<v1::StreamEvent> MakeResult();
  std::optional<v1::StreamEvent> Made(v1::StreamEvent event);

  const bool tells_attention_;
  ReplyMaker maker_;
  std::vector<Job> jobs_;
  std::vector<DecodeResult> results_;  // by job, until their text's is made
  std::vector<int> target_tokens_;     // by job
  std::vector<int> left_;              // by text: jobs that have not finished
  std::vector<bool> told_;             // by text: its result, or it is being made
  std::size_t rest_ = 0;               // texts before it are told
  StreamNews news_;
  std::size_t ended_ = 0;  // of news_.finished
  std::set<int> changed_;  // jobs with progress to tell
  bool told_model_ = false;
  std::optional<int> making_;  // the text whose result is being made
  int unwritten_ = 0;          // events
  bool writing_ = false;
  std::optional<absl::Status> decoded_;
  absl::Status failed_;
  absl::Status dead_;
  bool gone_ = false;  // who reads
};

}  // namespace heed
