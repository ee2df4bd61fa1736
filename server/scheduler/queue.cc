#include "server/scheduler/queue.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace heed {

bool IsDead(const WaitingJob& job, absl::Time now) {
  return now >= job.deadline || (job.cancelled != nullptr && job.cancelled->load(std::memory_order_relaxed));
}

JobQueue::JobQueue(int models, int max_jobs) : max_jobs_(max_jobs), waiting_(models) {}

absl::Status JobQueue::Add(int model, const std::vector<WaitingJob>& jobs) {
  const auto more = static_cast<long>(jobs.size());
  if (size_ + more > max_jobs_) {
    return absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", size_, " segments wait and at most ",
                                                     max_jobs_, " may; this request has ", more));
  }
  for (const WaitingJob& job : jobs) {
    waiting_[model].push_back(job);
    rows_ += job.rows;
    earliest_deadline_ = std::min(earliest_deadline_, job.deadline);
  }
  size_ += static_cast<int>(more);
  return absl::OkStatus();
}

void JobQueue::TakeDead(absl::Time now, bool look_at_flags, std::vector<JobId>* dead) {
  if (now < earliest_deadline_ && !look_at_flags) return;
  earliest_deadline_ = absl::InfiniteFuture();
  for (std::deque<WaitingJob>& jobs : waiting_) {
    std::erase_if(jobs, [&](const WaitingJob& job) {
      if (!IsDead(job, now)) {
        earliest_deadline_ = std::min(earliest_deadline_, job.deadline);
        return false;
      }
      dead->push_back(job.id);
      rows_ -= job.rows;
      --size_;
      return true;
    });
  }
}

bool JobQueue::ShouldTake(const WaitingJob& head, int model, int worker, const std::vector<WorkerLoad>& loads) const {
  const WorkerLoad& mine = loads[worker];
  if (mine.free_rows[model] < head.rows) return false;
  const auto workers = static_cast<long>(loads.size());
  long all_rows = rows_;
  for (const WorkerLoad& load : loads) all_rows += load.rows;
  const long share = (all_rows + workers - 1) / workers;
  if (mine.rows + head.rows <= share) return true;
  return std::none_of(loads.begin(), loads.end(), [&](const WorkerLoad& other) {
    return other.rows < mine.rows && other.free_rows[model] >= head.rows;
  });
}

std::optional<WaitingJob> JobQueue::TakeNext(int model, int worker, const std::vector<WorkerLoad>& loads) {
  std::deque<WaitingJob>& jobs = waiting_[model];
  if (jobs.empty() || !ShouldTake(jobs.front(), model, worker, loads)) return std::nullopt;
  const WaitingJob head = jobs.front();
  jobs.pop_front();
  rows_ -= head.rows;
  --size_;
  return head;
}

std::vector<JobId> JobQueue::TakeAll() {
  std::vector<JobId> ids;
  for (std::deque<WaitingJob>& jobs : waiting_) {
    for (const WaitingJob& job : jobs) ids.push_back(job.id);
    jobs.clear();
  }
  size_ = 0;
  rows_ = 0;
  earliest_deadline_ = absl::InfiniteFuture();
  return ids;
}

}  // namespace heed
