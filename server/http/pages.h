// The pages of the HTTP listener: /metrics for Prometheus, and for orchestrators /livez (the process answers),
// /startupz (it has started) and /readyz (send it requests).
//
// They are there before the models are: a server that loads for minutes is alive and has not started.
#pragma once

#include <functional>

#include "server/http/http.h"
#include "server/lifecycle/readiness.h"
#include "server/metrics/metrics.h"

namespace heed {

using Phase = ServerState;

// Asked at each request, on the listener's thread.
struct PageSources {
  std::function<Phase()> phase;
  std::function<const Metrics*()> metrics;  // null: there are none yet
};

HttpRoutes MakePages(PageSources sources);

}  // namespace heed
