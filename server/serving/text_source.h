// A request for text as a transport has it.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "server/admission/admission.h"
#include "server/metrics/metrics.h"

namespace heed {

struct TextSource {
  Rpc rpc = Rpc::kTranslate;  // what it is counted as
  // Of the request as it was received: what parsing and tokenising it takes is in proportion.
  std::int64_t bytes = 0;
  // What it says of its priority. Called at most once, before `parse`, where its work is long; null: interactive.
  std::function<Priority()> priority;
  // Parses it. Once, on any thread; the sink lives meanwhile. INVALID_ARGUMENT: it is no such request.
  std::function<absl::StatusOr<TextRequest>()> parse;
};

}  // namespace heed
