#include "engine/run/engine.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"

namespace heed {
namespace {

// Sources in a group from which on its recurrences run near full speed.
constexpr std::size_t kGoodGroup = 8;

// The job with this id, or end.
template <typename Jobs>
auto Find(Jobs& jobs, JobId id) {
  return std::find_if(jobs.begin(), jobs.end(), [id](const auto& job) { return job->id() == id; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Make(std::shared_ptr<const CompiledModel> model,
                                                     const EngineOptions& options) {
  BufferMaker buffers(BufferMaker::Mode::kMake);
  HEED_ASSIGN_OR_RETURN(auto ops, RowOps::Make(*model, Block(options), options.parts, options.team, &buffers));
  return std::unique_ptr<Engine>(new Engine(std::move(model), options, std::move(ops), &buffers));
}

absl::StatusOr<std::int64_t> Engine::Bytes(CompiledModel model, const EngineOptions& options) {
  const auto outline = std::make_shared<const CompiledModel>(std::move(model));
  BufferMaker buffers(BufferMaker::Mode::kAdd);
  HEED_ASSIGN_OR_RETURN(auto ops, RowOps::Make(*outline, Block(options), nullptr, options.team, &buffers));
  const Engine engine(outline, options, std::move(ops), &buffers);
  const auto lists = static_cast<std::int64_t>(2 * sizeof(int) * engine.encoder_.max_positions()) +
                     OutputLayer::ListBytes(options.max_rows);
  return SaturatingAdd(buffers.bytes(), lists);
}

Engine::Engine(std::shared_ptr<const CompiledModel> model, const EngineOptions& options, std::unique_ptr<RowOps> ops,
               BufferMaker* buffers)
    : model_(std::move(model)),
      max_rows_(options.max_rows),
      capacity_(options.max_rows + options.max_rows / 2),
      clock_(options.clock != nullptr ? options.clock : Clock::Real()),
      encode_time_(options.encode_time_per_step),
      ops_(std::move(ops)),
      // Room for a group of the longest source, or of as many ordinary ones as share a product well.
      encoder_(*model_, ops_.get(), std::max(options.max_source_tokens, 1024), buffers),
      stepper_(*model_, ops_.get(), options.max_rows, options.max_source_tokens, buffers),
      scorer_(*model_, ops_.get(), options.max_source_tokens, buffers) {
  for (Jobs* jobs : {&waiting_, &encoding_, &ready_, &finished_}) jobs->reserve(capacity_);
  decoding_.reserve(capacity_);
  group_.reserve(capacity_);
  rows_.reserve(max_rows_);
  found_.resize(max_rows_);
}

void Engine::Admit(JobId id, const DecodeJob* job) {
  waiting_.push_back(std::make_unique<LiveJob>(id, *job, *model_));
  reserved_ += waiting_.back()->rows();
  ++live_jobs_;
}

void Engine::Release(JobId id) {
  const auto drop = [&](LiveJob& job) {
    reserved_ -= job.rows();
    --live_jobs_;
  };
  for (Jobs* jobs : {&waiting_, &ready_, &finished_}) {
    if (const auto it = Find(*jobs, id); it != jobs->end()) {
      drop(**it);
      jobs->erase(it);
      return;
    }
  }
  // A source that is being encoded stays in its group, whose offsets are fixed, and is forgotten at its end.
  if (const auto it = Find(encoding_, id); it != encoding_.end() && !(*it)->released) {
    drop(**it);
    (*it)->released = true;
    return;
  }
  const auto it = FindDecoding(id);
  if (it == decoding_.end()) return;
  drop(*it->job);
  decoding_rows_ -= it->job->rows();
  decoding_.erase(it);
}

DecodeResult Engine::Take(JobId id) {
  const auto it = Find(finished_, id);
  if (it == finished_.end()) return {};
  DecodeResult result = (*it)->Result();
  reserved_ -= (*it)->rows();
  --live_jobs_;
  finished_.erase(it);
  return result;
}

DecodeResult Engine::Finish(JobId id) {
  DecodeResult result;
  if (const auto it = FindDecoding(id); it != decoding_.end()) {
    it->job->search().Stop();
    result = it->job->Result();
  }
  Release(id);
  return result;
}

DecodedHypothesis Engine::TakeProgress(JobId id) {
  if (const auto it = FindDecoding(id); it != decoding_.end()) return it->job->TakeProgress();
  if (const auto it = Find(finished_, id); it != finished_.end()) return (*it)->TakeProgress();
  return {};
}

std::vector<Engine::Decoding>::iterator Engine::FindDecoding(JobId id) {
  return std::find_if(decoding_.begin(), decoding_.end(), [id](const Decoding& d) { return d.job->id() == id; });
}

void Engine::Step(StepReport* report) {
  Encode(report);
  StartDecoding();
  if (decoding_.empty()) return;
  const absl::Time begin = clock_->Now();
  Decode(report);
  last_decode_ = clock_->Now() - begin;
}

void Engine::Decode(StepReport* report) {
  ListRows();
  stepper_.Run(rows_);
  const PartTimer timer(ops_->parts(), StepPart::kSearch);
  report->rows += static_cast<int>(rows_.size());
  for (Decoding& decoding : decoding_) {
    Choose(decoding);
    Search& search = decoding.job->search();
    if (search.steps() == 1) report->first_token.push_back(decoding.job->id());
    if (decoding.job->job().progress && search.Settle()) report->progressed.push_back(decoding.job->id());
  }
  Retire(report);
}

void Engine::Encode(StepReport* report) {
  const PartTimer timer(ops_->parts(), StepPart::kEncode);
  if (!encoder_.busy()) StartGroup();
  if (!encoder_.busy()) return;
  // A group runs to its end where nothing decodes.
  const bool alone = decoding_.empty() && ready_.empty();
  const absl::Time end = alone ? absl::InfiniteFuture() : clock_->Now() + std::max(encode_time_, last_decode_ / 2);
  do {
    report->encoded_positions += encoder_.Advance();
  } while (encoder_.busy() && (alone || clock_->Now() < end));
  // What is ready now decodes before anything else is encoded.
  if (!encoder_.busy()) FinishGroup();
}

void Engine::StartGroup() {
  group_.clear();
  // While there is enough to decode, wait for a group that shares its products well.
  const bool rows_idle = ready_.empty() && decoding_rows_ < max_rows_;
  if (!rows_idle && waiting_.size() < kGoodGroup) return;
  int positions = 0;
  for (auto& job : waiting_) {
    const bool full = static_cast<int>(group_.size()) == ops_->block();
    if (full || positions + job->positions() > encoder_.max_positions()) break;
    positions += job->positions();
    group_.push_back(job.get());
    encoding_.push_back(std::move(job));
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(group_.size()));
  if (!group_.empty()) encoder_.Start(group_);
}

void Engine::FinishGroup() {
  encoder_.Finish();
  for (auto& job : encoding_) {
    if (!job->released) ready_.push_back(std::move(job));
  }
  encoding_.clear();
}

// In order of arrival: a wide beam that does not fit yet keeps later jobs waiting, so that it is not starved.
void Engine::StartDecoding() {
  std::size_t started = 0;
  while (started < ready_.size() && decoding_rows_ + ready_[started]->rows() <= max_rows_) {
    decoding_rows_ += ready_[started]->rows();
    decoding_.push_back({std::move(ready_[started]), 0});
    ++started;
  }
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(started));
}

void Engine::ListRows() {
  rows_.clear();
  for (Decoding& decoding : decoding_) {
    const int first = static_cast<int>(rows_.size());
    int index = 0;
    for (const Search::Row& row : decoding.job->search().rows()) {
      const int parent = row.parent < 0 ? -1 : decoding.first_row + row.parent;
      // A copied id beyond the vocabulary is read as the unknown piece.
      const TokenId input = row.input < model_->vocabulary ? row.input : model_->unk_id;
      rows_.push_back({decoding.job.get(), index++, parent, input});
    }
    decoding.first_row = first;
  }
}

// Offers each row's best candidates to the job's search, which decides what goes on.
void Engine::Choose(Decoding& decoding) {
  Search& search = decoding.job->search();
  const int rows = static_cast<int>(search.rows().size());
  const bool copies = model_->copy.has_value();
  for (int i = 0; i < rows; ++i) {
    const int row = decoding.first_row + i;
    const Scorer::Copying copying{copies ? stepper_.copy_gate(row) : 0, copies ? stepper_.copied(row) : nullptr};
    found_[i] = scorer_.Best(*decoding.job, i, copying, &stepper_.output(row));
  }
  // The rows' candidates lie one after the other.
  search.Advance(stepper_.output(decoding.first_row).best, found_.data());
}

void Engine::Retire(StepReport* report) {
  for (Decoding& decoding : decoding_) {
    if (!decoding.job->search().done()) continue;
    report->finished.push_back(decoding.job->id());
    decoding_rows_ -= decoding.job->rows();
    finished_.push_back(std::move(decoding.job));
  }
  std::erase_if(decoding_, [](const Decoding& d) { return d.job == nullptr; });
}

}  // namespace heed
