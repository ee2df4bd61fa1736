#include "bench/static_batch.h"

#include <algorithm>

namespace heed {
namespace {

// Jobs join between Steps, so this is how late a batch may notice that it is full.
constexpr absl::Duration kNap = absl::Microseconds(500);

// No batch outlasts it: more than --max_target_tokens is refused.
constexpr std::size_t kFillerTokens = 512;

int RowsOf(const DecodeJob& job) { return std::max(1, job.search.beam_size); }

// The end of some job's source, fed with it: valid for every model.
DecodeJob FillerLike(const DecodeJob& job) {
  DecodeJob filler;
  filler.source = {job.source.back()};
  if (!job.copy_ids.empty()) filler.copy_ids = {job.copy_ids.front()};
  filler.shortlist = job.shortlist;
  filler.forced.assign(kFillerTokens, 0);
  return filler;
}

}  // namespace

int StaticBatch::free_rows() const {
  if (!running_.empty() || !done_.empty()) return 0;
  int free = options_.batch_size;
  for (const auto& [id, job] : forming_) free -= RowsOf(*job);
  return free;
}

void StaticBatch::Admit(JobId id, const DecodeJob* job) {
  if (forming_.empty()) start_by_ = clock_->Now() + options_.timeout;
  forming_.emplace_back(id, job);
}

void StaticBatch::Release(JobId id) {
  std::erase_if(forming_, [id](const auto& entry) { return entry.first == id; });
  if (running_.erase(id) > 0) engine_->Release(id);
  done_.erase(id);
}

int StaticBatch::RowsRunning() const {
  int rows = 0;
  for (const auto& [id, job] : running_) rows += RowsOf(*job);
  return rows;
}

void StaticBatch::Pad() {
  for (int rows = RowsRunning() + static_cast<int>(fillers_.size()); rows < batch_rows_; ++rows) {
    const JobId id = next_filler_--;
    const auto [filler, added] = fillers_.emplace(id, std::make_unique<DecodeJob>(filler_));
    engine_->Admit(id, filler->second.get());
  }
}

void StaticBatch::RemoveFillers() {
  for (const auto& [id, job] : fillers_) engine_->Release(id);
  fillers_.clear();
}

bool StaticBatch::Start() {
  if (!running_.empty()) return true;
  RemoveFillers();
  // A wide beam that is next in the queue may not fit: then the batch waits for its time-out.
  const absl::Duration left = start_by_ - clock_->Now();
  if (!forming_.empty() && free_rows() > 0 && left > absl::ZeroDuration()) {
    nap_(std::min(left, kNap));
    return false;
  }
  for (const auto& [id, job] : forming_) {
    engine_->Admit(id, job);
    running_.emplace(id, job);
  }
  if (!forming_.empty()) filler_ = FillerLike(*forming_.front().second);
  forming_.clear();
  batch_rows_ = RowsRunning();
  return !running_.empty();
}

void StaticBatch::Step(StepReport* report) {
  // Left over where the last running job of a batch was released: the rest is given out now.
  if (running_.empty() && !done_.empty()) {
    for (const auto& [id, done] : done_) report->finished.push_back(id);
    return;
  }
  if (!Start()) return;
  if (options_.pads) Pad();
  const std::size_t before = report->finished.size();
  engine_->Step(report);
  // Fillers are nobody's jobs.
  std::erase_if(report->first_token, [](JobId id) { return id < 0; });
  for (const JobId id : report->finished) {
    if (id < 0) engine_->Take(id);
  }
  std::erase_if(report->finished, [this](JobId id) { return id < 0 && fillers_.erase(id) > 0; });
  if (!options_.padded) return;
  for (std::size_t i = before; i < report->finished.size(); ++i) {
    const JobId id = report->finished[i];
    Done& done = done_[id];
    if (running_.at(id)->progress) done.progress = engine_->TakeProgress(id);
    done.result = engine_->Take(id);
    running_.erase(id);
  }
  report->finished.resize(before);
  if (!running_.empty()) return;
  for (const auto& [id, done] : done_) report->finished.push_back(id);
}

DecodeResult StaticBatch::Take(JobId id) {
  if (running_.erase(id) > 0) return engine_->Take(id);
  DecodeResult result = std::move(done_.at(id).result);
  done_.erase(id);
  return result;
}

DecodeResult StaticBatch::Finish(JobId id) {
  if (running_.erase(id) > 0) return engine_->Finish(id);
  if (done_.contains(id)) return Take(id);
  Release(id);
  return {};
}

DecodedHypothesis StaticBatch::TakeProgress(JobId id) {
  if (running_.contains(id)) return engine_->TakeProgress(id);
  return std::exchange(done_.at(id).progress, {});
}

}  // namespace heed
