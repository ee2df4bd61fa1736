// A request with one answer: once decoded, each text's result is made, given to the sink and freed, a part at a time.
//
// As Exchange: one thread's at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "server/serving/text_exchange.h"

namespace heed {

class UnaryExchange : public TextExchange {
 public:
  // `sink` as sink.h says.
  UnaryExchange(Core* core, const StageHook* on_stage, Rpc rpc, RequestContext context, UnarySink* sink)
      : TextExchange(core, on_stage, rpc, std::move(context)), sink_(sink) {}

 private:
  std::unique_ptr<WorkItem> MakeItem() override;
  void End(absl::Status status) override;
  // On a step thread: hands the text work on at once.
  void OnDecoded(WorkResult result);
  // Makes a part of the answer, or frees one of what it was made of; whether more is left.
  bool AnswerSome();
  // A part of the reply, each text's result added once it is whole; whether more is left.
  absl::StatusOr<bool> MakeSome();

  UnarySink* const sink_;
  WorkResult decoded_;  // its memory is given back with the receipt
  // The answer on its way.
  std::optional<ReplyMaker> maker_;
  std::size_t text_ = 0;  // next
  bool making_ = false;   // that text
  bool made_ = false;     // all of it, or answer_ says why not
  absl::Status answer_;
};

}  // namespace heed
