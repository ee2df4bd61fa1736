// The one way behind every way in: a request goes through its stages (stage.h) and its answer to a sink, whatever
// protocol it came by. A transport parses what it received, says who asks (context.h) and renders what comes (sink.h):
//
//   pipeline.Submit({.rpc = Rpc::kTranslate, .bytes = size, .parse = [this] { return Parse(); }}, context, this);
//
// Each request is answered once, by its sink's End: OK; the errors of Admission and Scheduler; UNAVAILABLE (draining)
// and RESOURCE_EXHAUSTED (as many are inside as may be) of the gate; CANCELLED, DEADLINE_EXCEEDED. It is counted, and
// has its line in the log.
//
// Thread-safe. Submit is called on the thread of context.executor.
#pragma once

#include <atomic>

#include "heed/v1/model.pb.h"
#include "server/serving/context.h"
#include "server/serving/query.h"
#include "server/serving/sink.h"
#include "server/serving/stage.h"
#include "server/serving/text_source.h"

namespace heed {

struct Core;

class Pipeline {
 public:
  // `core` outlives it and all of its requests.
  explicit Pipeline(Core* core, StageHook on_stage = nullptr) : core_(core), on_stage_(std::move(on_stage)) {}

  // The sink lives until its End, which may come before Submit returns.
  void Submit(TextSource request, RequestContext context, UnarySink* sink) const;
  void Submit(TextSource request, RequestContext context, StreamSink* sink) const;
  void Submit(Query query, RequestContext context, Sink* sink) const;
  // Nobody waits for the request of this flag any more: it ends CANCELLED, or past its deadline DEADLINE_EXCEEDED.
  void Cancel(std::atomic<bool>* cancelled) const;

  // What comes now waits long: a transport may look less often for what its clients send.
  bool crowded() const;
  // Whether some model does this task.
  bool Serves(v1::Task task) const;

 private:
  Core* const core_;
  const StageHook on_stage_;
};

}  // namespace heed
