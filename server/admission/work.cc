#include "server/admission/work.h"

#include <utility>

#include "server/admission/memory_cost.h"

namespace heed {

std::unique_ptr<WorkItem> MakeWork(AdmittedRequest* request, absl::Time received, bool streamed) {
  const MemoryCost cost = CostOf(*request, streamed);
  auto work = std::make_unique<WorkItem>();
  work->model = request->model->scheduled;
  work->jobs = std::move(request->jobs);
  for (DecodeJob& job : work->jobs) {
    // What a beam's token was copied from, and so how it is written, is known at its end alone.
    const bool typed = !job.copy_ids.empty() || job.sources;
    job.progress = streamed && (job.search.beam_size == 1 || !typed);
  }
  work->waiting_bytes = cost.waiting;
  work->running_bytes = cost.running;
  work->priority = request->priority;
  work->finish_by = received + request->time_budget;
  return work;
}

}  // namespace heed
