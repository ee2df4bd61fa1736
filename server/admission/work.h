// What the scheduler is given of an admitted request.
//
// A plain function, thread-safe.
#pragma once

#include <memory>

#include "absl/time/time.h"
#include "server/admission/admission.h"
#include "server/scheduler/scheduler.h"

namespace heed {

// Takes the request's jobs. `received`: when the call came in, for its time budget counts from there. `streamed`: its
// jobs tell of their progress. What belongs to the call (deadline, cancelled flag, `progress`, `done`) is left to the
// caller.
std::unique_ptr<WorkItem> MakeWork(AdmittedRequest* request, absl::Time received, bool streamed);

}  // namespace heed
