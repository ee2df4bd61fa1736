#include "server/http/pages.h"

#include <utility>

#include "server/http/accept.h"

namespace heed {
namespace {

constexpr int kUnavailable = 503;

const char* PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kStarting:
      return "starting";
    case Phase::kServing:
      return "serving";
    case Phase::kDraining:
      return "draining";
  }
  return "unknown";
}

// Why not, or that it is so, for people; programs read the status.
HttpResponse Probe(Phase phase, bool good) {
  return {.status = good ? 200 : kUnavailable, .body = std::string(PhaseName(phase)) + "\n"};
}

HttpResponse MetricsPage(const HttpRequest& request, const Metrics* metrics) {
  if (metrics == nullptr) return Probe(Phase::kStarting, false);
  const bool open = PrefersOpenMetrics(request.Field("accept"));
  return {.content_type = open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                               : "text/plain; version=0.0.4; charset=utf-8",
          .body = metrics->Render(open ? MetricsFormat::kOpenMetrics : MetricsFormat::kPrometheus),
          .fields = {{"Vary", "Accept"}}};
}

}  // namespace

HttpRoutes MakePages(PageSources sources) {
  const auto phase = sources.phase;
  HttpRoutes routes;
  routes["/livez"] = [phase](const HttpRequest&) { return Probe(phase(), true); };
  routes["/startupz"] = [phase](const HttpRequest&) { return Probe(phase(), phase() != Phase::kStarting); };
  routes["/readyz"] = [phase](const HttpRequest&) { return Probe(phase(), phase() == Phase::kServing); };
  routes["/metrics"] = [metrics = std::move(sources.metrics)](const HttpRequest& request) {
    return MetricsPage(request, metrics());
  };
  return routes;
}

}  // namespace heed
