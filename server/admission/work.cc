#include "server/admission/work.h"

#include <utility>

#include "server/admission/memory_cost.h"

namespace heed {

std::unique_ptr<WorkItem> MakeWork(AdmittedRequest* request, absl::Time received, bool streamed) {
  const MemoryCost cost = CostOf(*request, streamed);
  auto work = std::make_unique<WorkItem>();
  work->model = request->model->index;
  work->jobs = std::move(request->jobs);
  for (DecodeJob& job : work->jobs) job.progress = streamed;
  work->waiting_bytes = cost.waiting;
  work->running_bytes = cost.running;
  work->priority = request->priority;
  work->finish_by = received + request->time_budget;
  return work;
}

}  // namespace heed
