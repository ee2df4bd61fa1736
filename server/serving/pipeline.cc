#include "server/serving/pipeline.h"

#include <memory>
#include <utility>

#include "server/lifecycle/core.h"
#include "server/serving/stream_exchange.h"
#include "server/serving/unary_exchange.h"

namespace heed {

void Pipeline::Submit(TextSource request, RequestContext context, UnarySink* sink) const {
  // It owns itself until its end.
  auto* const exchange = new UnaryExchange(core_, &on_stage_, request.rpc, std::move(context), sink);
  exchange->Run(std::move(request));
}

void Pipeline::Submit(TextSource request, RequestContext context, StreamSink* sink) const {
  auto* const exchange = new StreamExchange(core_, &on_stage_, request.rpc, std::move(context), sink);
  exchange->Run(std::move(request));
}

void Pipeline::Submit(Query query, RequestContext context, Sink* sink) const {
  auto exchange = std::make_unique<Exchange>(core_, &on_stage_, query.rpc, std::move(context));
  absl::Status status = exchange->Enter();
  if (status.ok()) {
    ModelHandle asked;
    status = query.answer(*core_, &asked);
    if (asked != nullptr) exchange->SetModel(asked);
  }
  status = exchange->Close(std::move(status));
  sink->End(std::move(status), std::move(exchange));
}

void Pipeline::Cancel(std::atomic<bool>* cancelled) const { CancelRequest(*core_, cancelled); }

bool Pipeline::crowded() const { return core_->scheduler->crowded(); }

bool Pipeline::Serves(v1::Task task) const {
  for (const auto& model : core_->registry->models()) {
    if (model->summary.task() == task) return true;
  }
  return false;
}

}  // namespace heed
