// A request whose answer is streamed. A step thread only leaves what it has to tell; text work makes events of it; the
// sink has one write at a time, meanwhile it gathers.
//
//   step thread --news_--> PumpSome (executor or text pool) --StreamWriter--> sink --OnWritten--> the next pump
//
// At most one of a pump and a write is under way; `busy_` says whether one is.
//
// As Exchange, but for news_, which step threads leave at any time.
#pragma once

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "server/serving/stream_writer.h"
#include "server/serving/text_exchange.h"

namespace heed {

class StreamExchange : public TextExchange {
 public:
  // `sink` as sink.h says.
  StreamExchange(Core* core, const StageHook* on_stage, Rpc rpc, RequestContext context, StreamSink* sink)
      : TextExchange(core, on_stage, rpc, std::move(context)), sink_(sink) {}

 private:
  std::unique_ptr<WorkItem> MakeItem() override;
  void End(absl::Status status) override;
  // On a step thread: leaves something, and has it made into events if nobody is at it.
  void Tell(absl::FunctionRef<void(StreamNews*)> leave) ABSL_LOCKS_EXCLUDED(mu_);
  // Nobody is busy any more, unless something has come meanwhile.
  void Rest() ABSL_LOCKS_EXCLUDED(mu_);
  // By who is busy.
  void StartPump();
  // A part of it; whether more is left.
  bool PumpSome();
  // Whatever is next once nothing is left to make.
  void EndPump();
  void OnWritten(bool ok);

  StreamSink* const sink_;
  // Of whoever is busy.
  std::optional<StreamWriter> writer_;
  bool replying_ = false;  // the first pump has begun
  bool pumping_ = false;   // this one has

  absl::Mutex mu_;
  bool busy_ ABSL_GUARDED_BY(mu_) = false;
  StreamNews news_ ABSL_GUARDED_BY(mu_);
  WorkResult decoded_;  // once news_ says so; its memory is given back with the receipt
};

}  // namespace heed
