// HTTP/2 as gRPC speaks it, on libnghttp2: a connection of a client becomes calls for the backend. A fault of one call
// ends that call with a status; a fault of the connection ends the connection; neither touches another.
//
// Bounds: edge.h. Frames are metered before nghttp2 sees them (frame_meter.h); messages are whole, inflated and within
// their bound before the backend hears of the call.
//
// Not thread-safe: its connection's loop.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/edge/edge.h"
#include "server/edge/frame_meter.h"
#include "server/edge/stream.h"
#include "server/net/protocol.h"

namespace heed {

class Session : public Protocol {
 public:
  // `edge`, `backend` and `wire` outlive it.
  Session(Edge* edge, Backend* backend, Wire* wire);
  ~Session() override;

  // Takes no new calls: the client is told so, those under way end, then the connection closes.
  void GoAway();

  void Receive(absl::string_view bytes) override;
  void Produce(std::size_t room, std::string* out) override;
  bool Reads() const override;
  bool Done() const override;
  absl::string_view fault() const override { return fault_; }
  void OnTime(absl::Time now) override;
  void OnEnd() override { Fault(""); }

  // For its streams.
  Edge* edge() { return edge_; }
  Backend* backend() { return backend_; }
  nghttp2_session* Http2() { return http2_; }
  const Peer& peer() const { return wire_->peer(); }
  const std::shared_ptr<ByteAccount>& received() const { return received_; }
  ByteAccount* aside() { return &aside_; }
  absl::Time Now() const { return edge_->clock->Now(); }
  // Has a stream go on in another turn.
  void ReadLater(std::int32_t stream);
  // The same, but not before there may be room for its message.
  void ReadWhenThereIsRoom(std::int32_t stream);
  // Has a stream's call start at the end of this turn, if it is still there: one that is reset in the breath that it is
  // made in costs nothing.
  void StartLater(std::int32_t stream) { starts_.push_back(stream); }
  // What may still be inflated in this turn, all streams together.
  std::size_t* read_budget() { return &read_budget_; }
  // Bytes of answers wait, or have been taken. False: there would be too many.
  bool AddUnread(std::int64_t bytes);
  void TakeUnread(std::int64_t bytes);
  // Some of an answer has been taken.
  void OnProgress() { taken_at_ = Now(); }
  void Flush() { wire_->Flush(); }

 private:
  static nghttp2_session_callbacks* Callbacks();
  Stream* Find(std::int32_t id);
  int OnBeginHeaders(const nghttp2_frame* frame);
  int OnFrame(const nghttp2_frame* frame);
  // The connection is at fault: it closes when what nghttp2 has to say is said. Empty: it only closes.
  void Fault(absl::string_view reason);
  // A call or a header block.
  bool HasBegun() const;
  void Schedule(absl::Time now);
  void CheckConnection(absl::Time now);
  void StartCalls();

  Edge* const edge_;
  Backend* const backend_;
  Wire* const wire_;
  nghttp2_session* http2_ = nullptr;
  FrameMeter meter_;
  const std::shared_ptr<ByteAccount> received_;  // messages of this connection that nobody has taken
  ByteAccount aside_;                            // as Edge::aside
  absl::flat_hash_map<std::int32_t, std::unique_ptr<Stream>> streams_;
  std::set<std::int32_t> later_;    // streams that go on in another turn
  std::set<std::int32_t> waiting_;  // streams whose messages wait for room, in the order of their calls
  std::vector<std::int32_t> starts_;
  std::size_t read_budget_ = 0;
  std::int64_t unread_ = 0;
  std::string fault_;
  bool reads_ = true;
  bool spoke_ = false;      // HTTP/2: its SETTINGS came
  bool asked_ = false;      // a first call came
  bool ticks_ = false;      // OnTime is asked for every second
  bool leaving_ = false;    // told so
  bool last_said_ = false;  // and which call is the last
  const absl::Time began_;
  absl::Time heard_;
  absl::Time idle_since_;
  absl::Time taken_at_;  // when the client last took something of answers that wait
  absl::Time pinged_ = absl::InfiniteFuture();
  absl::Time leaves_ = absl::InfiniteFuture();  // when it is told to go
  absl::Time closes_ = absl::InfiniteFuture();  // when it must be gone
};

}  // namespace heed
