#include "server/scheduler/item.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace heed {

Item::Item(RequestId item_id, ScheduledModel* item_model, std::unique_ptr<WorkItem> item_work, absl::Time arrived)
    : id(item_id),
      model(item_model),
      work(std::move(item_work)),
      arrival(arrived),
      remaining(static_cast<int>(work->jobs.size())),
      results(work->jobs.size()),
      timings(work->jobs.size()) {
  for (JobTiming& timing : timings) timing.queued = absl::InfiniteDuration();
}

bool Item::CheckEnded(absl::Time now) {
  if (!ended.ok()) return true;
  if (work->cancelled != nullptr && work->cancelled->load(std::memory_order_relaxed)) {
    ended = absl::CancelledError("the client cancelled the request");
  } else if (now >= work->deadline) {
    const std::size_t jobs = work->jobs.size();
    ended = absl::DeadlineExceededError(
        started == 0 ? absl::StrCat("the deadline passed while the request waited in the queue for ",
                                    absl::FormatDuration(now - arrival))
                     : absl::StrCat("the deadline passed while decoding: ", jobs - remaining, " of ", jobs,
                                    " segments were finished in ", absl::FormatDuration(now - arrival)));
  }
  return !ended.ok();
}

void Item::Start(int job, absl::Time now) {
  ++started;
  timings[job].queued = now - arrival;
}

void Item::SetResult(int job, DecodeResult result, absl::Time now) {
  results[job] = std::move(result);
  timings[job].total = now - arrival;
}

void Item::CloseTimings(absl::Time now) {
  for (JobTiming& timing : timings) {
    if (timing.total == absl::ZeroDuration()) timing.total = now - arrival;
    timing.queued = std::min(timing.queued, timing.total);
  }
}

JobRef Find(const std::vector<LiveJob>& live, JobId id) {
  return std::find_if(live.begin(), live.end(), [id](const LiveJob& job) { return job.id == id; })->ref;
}

std::pair<JobRef, DecodeResult> Tell(JobRef ref, DecodeResult result) {
  const WorkItem& work = *ref.item->work;
  if (work.finished == nullptr) return {ref, std::move(result)};
  work.finished(ref.index, std::move(result));
  return {ref, DecodeResult()};
}

WaitingRequest Waiting(const WorkItem& work, RequestId id, absl::Time arrival) {
  WaitingRequest request;
  request.id = id;
  request.priority = work.priority;
  request.rows.reserve(work.jobs.size());
  for (const DecodeJob& job : work.jobs) request.rows.push_back(std::max(1, job.search.beam_size));
  request.arrival = arrival;
  request.give_up = std::min(work.deadline, work.finish_by);
  request.cancelled = work.cancelled.get();
  request.waiting_bytes = work.waiting_bytes;
  request.running_bytes = work.running_bytes;
  return request;
}

}  // namespace heed
