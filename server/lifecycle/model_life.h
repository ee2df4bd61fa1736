// A model's way into service and out of it, while others serve. Loading comes before (server/models/loader.h).
//
//   in:   counters, an engine on every worker, then requests find it
//   out:  no request finds it any more, and those that hold it go on; after the last the workers free their engines,
//         its counters go and the model is given back
//
// Functions of a running Core, thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/lifecycle/core.h"

namespace heed {

// Returns when requests find it. ALREADY_EXISTS where one of its name and version is served, INTERNAL or
// RESOURCE_EXHAUSTED where a worker's engine cannot be made, UNAVAILABLE while draining; nothing of it is left then.
// Blocks while workers make their engines; not from one of their threads.
absl::StatusOr<ModelHandle> ServeModel(Core* core, std::unique_ptr<ServedModel> model);

// Returns at once; no request that it has accepted fails for it. `over` is called once with the model, which nobody
// uses any more, from any thread: to free it takes time in proportion to its weights, so not there if that matters.
// Null: it is freed there. A model of the same name and version may be served meanwhile. Errors: Registry::Retire's.
absl::Status RetireModel(Core* core, const std::string& name, const std::string& version,
                         std::function<void(std::unique_ptr<ServedModel>)> over);

}  // namespace heed
