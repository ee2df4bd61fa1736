#include "server/serving/stream_exchange.h"

#include <utility>

#include "server/admission/work.h"

namespace heed {
namespace {

// What a pump usually makes.
constexpr std::int64_t kPumpBytes = 1 << 12;

}  // namespace

std::unique_ptr<WorkItem> StreamExchange::MakeItem() {
  writer_.emplace(&admitted());
  std::unique_ptr<WorkItem> item = MakeWork(mutable_admitted(), start(), /*streamed=*/true);
  item->progress = [this](int job, DecodedHypothesis fresh) {
    Tell([&](StreamNews* news) { news->fresh.emplace_back(job, std::move(fresh)); });
  };
  item->finished = [this](int job, DecodeResult result) {
    Tell([&](StreamNews* news) { news->finished.emplace_back(job, std::move(result)); });
  };
  item->done = [this](WorkResult result) {
    Tell([&](StreamNews* news) {
      decoded_ = std::move(result);
      news->decoded = decoded_.status;
    });
  };
  return item;
}

void StreamExchange::Tell(absl::FunctionRef<void(StreamNews*)> leave) {
  {
    absl::MutexLock lock(&mu_);
    leave(&news_);
    if (std::exchange(busy_, true)) return;  // who is busy takes it, and may end the request with it
  }
  StartPump();
}

void StreamExchange::Rest() {
  {
    absl::MutexLock lock(&mu_);
    busy_ = !news_.empty();
    if (!busy_) return;
  }
  StartPump();
}

void StreamExchange::StartPump() {
  SubmitAfter(kPumpBytes, [this] { return PumpSome(); });
}

bool StreamExchange::PumpSome() {
  if (!std::exchange(replying_, true)) Pass(Stage::kReply);
  if (!std::exchange(pumping_, true)) {
    absl::MutexLock lock(&mu_);
    writer_->Take(std::exchange(news_, {}));
  }
  writer_->Die(CheckAlive());
  if (writer_->next() == StreamWriter::Next::kMake) {
    if (const auto event = writer_->Make()) writer_->Fail(sink_->Add(*event));
    return true;
  }
  if (writer_->decoded() && ReleaseSome()) return true;
  pumping_ = false;
  EndPump();
  return false;
}

void StreamExchange::EndPump() {
  if (writer_->decoded()) {
    TakeTimings(decoded_.timings, writer_->target_tokens());
    if (!writer_->failed()) TakeCounts(writer_->maker());
  } else if (writer_->stopped()) {
    Cancel();
  }
  switch (writer_->next()) {
    case StreamWriter::Next::kWrite:
      writer_->BeginWrite();
      return sink_->Write([this](bool ok) { OnWritten(ok); });
    case StreamWriter::Next::kEnd:
      return End(writer_->status());
    default:
      return Rest();
  }
}

void StreamExchange::OnWritten(bool ok) {
  writer_->EndWrite(ok);
  if (!ok) Cancel();
  if (writer_->next() == StreamWriter::Next::kEnd) return End(writer_->status());
  Rest();
}

void StreamExchange::End(absl::Status status) {
  absl::Status told = Close(std::move(status));
  sink_->End(std::move(told), Receipt(this));
}

}  // namespace heed
