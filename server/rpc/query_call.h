// A call that asks something of the server itself, of these messages.
#pragma once

#include <utility>

#include "engine/base/status_macros.h"
#include "server/rpc/call.h"
#include "server/rpc/message.h"

namespace heed {

template <typename Request, typename Response>
class QueryCall : public UnaryCall, private Sink {
 public:
  using Stage = QueryStage<Request, Response>;
  QueryCall(const CallPlace& place, Rpc rpc, Stage stage, const AskUnary& ask)
      : UnaryCall(place, ask), rpc_(rpc), stage_(stage) {}

 private:
  QueuedCall* Another() const override { return new QueryCall(place(), rpc_, stage_, ask()); }
  void Start() override {
    pipeline().Submit(
        MakeQuery<Request, Response>(
            rpc_, stage_, [this] { return Parse(); }, [this](const Response& answer) { return Keep(answer); }),
        MakeContext(), this);
  }

  absl::StatusOr<Request> Parse() {
    Request message;
    HEED_RETURN_IF_ERROR(ParseMessage(request(), place().max_fields, &message));
    return message;
  }
  absl::Status Keep(const Response& answer) {
    HEED_RETURN_IF_ERROR(reply().AddAll(answer));
    while (wants_gzip() && reply().GzipSome()) {
    }
    return absl::OkStatus();
  }
  void End(absl::Status status, Receipt receipt) override { Finish(status, std::move(receipt)); }

  const Rpc rpc_;
  const Stage stage_;
};

}  // namespace heed
