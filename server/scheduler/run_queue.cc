#include "server/scheduler/run_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace heed {

ModelQueue* RunQueue::AddModel() {
  return models_.emplace_back(std::make_unique<ModelQueue>(options_, &memory_)).get();
}

void RunQueue::RemoveModel(const ModelQueue* model) {
  std::erase_if(models_, [model](const auto& each) { return each.get() == model; });
}

absl::Status RunQueue::Add(ModelQueue* model, WaitingRequest request) {
  if (request.running_bytes > options_.max_request_bytes) {
    return absl::OutOfRangeError(absl::StrCat("the request takes ", request.running_bytes,
                                              " bytes of memory while it is decoded; it may take at most ",
                                              options_.max_request_bytes));
  }
  HEED_RETURN_IF_ERROR(
      CheckRoom(static_cast<std::int64_t>(request.rows.size()), request.waiting_bytes, /*at_least=*/false));
  model->Add(std::move(request));
  return absl::OkStatus();
}

absl::Status RunQueue::CheckRoom(std::int64_t jobs, std::int64_t bytes, bool at_least) const {
  const char* const least = at_least ? "at least " : "";
  if (bytes > options_.max_queue_bytes) {
    return absl::OutOfRangeError(absl::StrCat("the request takes ", least, bytes,
                                              " bytes of memory while it waits; it may take at most ",
                                              options_.max_queue_bytes));
  }
  if (const int waiting = size(); waiting + jobs > options_.max_queue) {
    return absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", waiting, " segments wait and at most ",
                                                     options_.max_queue, " may; this request has ", least, jobs));
  }
  if (const std::int64_t waiting = waiting_bytes(); waiting + bytes > options_.max_queue_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", waiting, " bytes wait and at most ",
                                                     options_.max_queue_bytes, " may; this request has ", least,
                                                     bytes));
  }
  return absl::OkStatus();
}

std::optional<StartedJob> RunQueue::TakeNext(ModelQueue* model, int worker, const WorkerLoads& loads, absl::Time now) {
  return model->TakeNext([&](int rows) { return ShouldTake(rows, worker, loads); }, now);
}

bool RunQueue::ShouldTake(int rows, int worker, const WorkerLoads& loads) const {
  if (loads.free_rows[worker] < rows) return false;
  const auto workers = static_cast<std::int64_t>(loads.rows.size());
  std::int64_t all_rows = 0;
  for (const auto& model : models_) all_rows += model->rows();
  for (const int in_use : loads.rows) all_rows += in_use;
  const std::int64_t share = (all_rows + workers - 1) / workers;
  if (loads.rows[worker] + rows <= share) return true;
  for (std::size_t other = 0; other < loads.rows.size(); ++other) {
    if (loads.rows[other] < loads.rows[worker] && loads.free_rows[other] >= rows) return false;
  }
  return true;
}

void RunQueue::TakeDead(absl::Time now, bool look_at_flags, std::vector<DroppedJobs>* dropped) {
  for (const auto& model : models_) model->TakeDead(now, look_at_flags, dropped);
}

std::vector<DroppedJobs> RunQueue::TakeAll() {
  std::vector<DroppedJobs> dropped;
  for (const auto& model : models_) model->TakeAll(&dropped);
  return dropped;
}

int RunQueue::size() const {
  int jobs = 0;
  for (const auto& model : models_) jobs += model->size();
  return jobs;
}

std::int64_t RunQueue::waiting_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& model : models_) bytes += model->waiting_bytes();
  return bytes;
}

absl::Time RunQueue::next_give_up() const {
  absl::Time earliest = absl::InfiniteFuture();
  for (const auto& model : models_) earliest = std::min(earliest, model->next_give_up());
  return earliest;
}

}  // namespace heed
