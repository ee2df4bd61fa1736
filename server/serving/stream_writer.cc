#include "server/serving/stream_writer.h"

namespace heed {
namespace {

// Rows are told with their tokens where a token's row is known when the token is.
bool TellsAttention(const AdmittedRequest& request) {
  return request.attention.has_value() && *request.attention != v1::ATTENTION_UNIT_WORDS && !request.jobs.empty() &&
         request.jobs[0].search.beam_size == 1;
}

}  // namespace

StreamWriter::StreamWriter(const AdmittedRequest* request)
    : tells_attention_(TellsAttention(*request)),
      maker_(request),
      jobs_(request->jobs.size()),
      results_(request->jobs.size()),
      target_tokens_(request->jobs.size()),
      left_(request->texts.size()),
      told_(request->texts.size()) {
  for (std::size_t text = 0; text < request->texts.size(); ++text) {
    const std::vector<AdmittedSegment>& segments = request->texts[text].segments;
    for (std::size_t segment = 0; segment < segments.size(); ++segment) {
      if (segments[segment].job < 0) continue;
      jobs_[static_cast<std::size_t>(segments[segment].job)] = {
          static_cast<int>(text), std::make_unique<SegmentStream>(request, static_cast<int>(text),
                                                                  static_cast<int>(segment), tells_attention_)};
      ++left_[text];
    }
  }
}

void StreamWriter::Take(StreamNews news) {
  news_ = std::move(news);
  ended_ = 0;
  for (const auto& [job, result] : news_.finished) {
    target_tokens_[static_cast<std::size_t>(job)] = TargetTokens(result);  // counted even where nobody is told
  }
  if (news_.decoded.has_value()) decoded_ = std::move(news_.decoded);
}

void StreamWriter::EndWrite(bool ok) {
  writing_ = false;
  unwritten_ = 0;
  gone_ = gone_ || !ok;
}

StreamWriter::Next StreamWriter::next() const {
  if (writing_) return Next::kWait;
  const bool tells = !failed() && !gone_;
  if (tells && has_parts()) return Next::kMake;
  if (tells && unwritten_ > 0) return Next::kWrite;
  return decoded_.has_value() ? Next::kEnd : Next::kWait;
}

bool StreamWriter::has_parts() const {
  if (making_.has_value() || !news_.fresh.empty() || !changed_.empty() || ended_ < news_.finished.size()) return true;
  if (!decoded_.has_value()) return false;
  for (std::size_t text = rest_; text < told_.size(); ++text) {
    if (!told_[text]) return true;
  }
  return false;
}

std::optional<v1::StreamEvent> StreamWriter::Make() {
  if (!std::exchange(told_model_, true)) {
    v1::StreamEvent event;
    *event.mutable_model() = maker_.model();
    return Made(std::move(event));
  }
  if (making_.has_value()) return MakeResult();
  if (!news_.fresh.empty()) {
    for (auto& [job, hypothesis] : std::exchange(news_.fresh, {})) {
      StreamOf(job).Add(std::move(hypothesis));
      changed_.insert(job);
    }
    return std::nullopt;
  }
  if (!changed_.empty()) return Progress(changed_.extract(changed_.begin()).value(), /*end=*/false);
  if (ended_ < news_.finished.size()) {
    auto& [job, result] = news_.finished[ended_++];
    return EndSegment(job, std::move(result));
  }
  while (told_[rest_]) ++rest_;
  BeginResult(static_cast<int>(rest_));
  return std::nullopt;
}

std::optional<v1::StreamEvent> StreamWriter::Progress(int job, bool end) {
  std::optional<v1::SegmentProgress> progress = StreamOf(job).Take(end);
  if (!progress.has_value()) return std::nullopt;
  v1::StreamEvent event;
  *event.mutable_progress() = *std::move(progress);
  return Made(std::move(event));
}

std::optional<v1::StreamEvent> StreamWriter::EndSegment(int job, DecodeResult result) {
  const auto number = static_cast<std::size_t>(job);
  std::optional<v1::StreamEvent> rest;
  if (!result.hypotheses.empty()) {
    StreamOf(job).AddRest(result.hypotheses[0]);
    rest = Progress(job, /*end=*/true);
    if (tells_attention_) result.hypotheses[0].attentions.clear();
  }
  results_[number] = std::move(result);
  const int text = jobs_[number].text;
  if (--left_[static_cast<std::size_t>(text)] == 0) BeginResult(text);
  return rest;
}

void StreamWriter::BeginResult(int text) {
  told_[static_cast<std::size_t>(text)] = true;
  making_ = text;
  maker_.Begin(text, &results_);
}

std::optional<v1::StreamEvent> StreamWriter::MakeResult() {
  absl::StatusOr<std::optional<v1::TextResult>> result = maker_.Step();
  if (!result.ok()) Fail(result.status());
  if (!result.ok() || !result->has_value()) return std::nullopt;
  v1::StreamEvent event;
  event.mutable_result()->set_text(*making_);
  *event.mutable_result()->mutable_result() = **std::move(result);
  making_.reset();
  return Made(std::move(event));
}

std::optional<v1::StreamEvent> StreamWriter::Made(v1::StreamEvent event) {
  ++unwritten_;
  return event;
}

absl::Status StreamWriter::status() const {
  if (!failed_.ok()) return failed_;
  if (decoded_.has_value() && !decoded_->ok()) return *decoded_;
  if (!dead_.ok()) return dead_;
  return gone_ ? absl::CancelledError("the client went away") : absl::OkStatus();
}

}  // namespace heed
