#include "server/edge/session.h"

#include <algorithm>
#include <utility>

#include "absl/random/random.h"

namespace heed {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);       // how often calls' times are looked at
constexpr absl::Duration kLastCalls = absl::Seconds(1);  // between "no more calls" and which was the last
// Made of compressed bytes in one turn, some 0.1 ms: the others of the loop have theirs in between.
constexpr std::size_t kReadBudget = 64 << 10;
// Between looks whether there is room for a message that waits for it: text work gives it back on threads of its own.
constexpr absl::Duration kUntilThereIsRoom = absl::Milliseconds(5);
constexpr std::size_t kMaxContinuations = 64;  // frames; the meter bounds their bytes

constexpr std::size_t kMaxQueued = 2048;  // frames but DATA that wait to be sent; then nothing is read

constexpr std::size_t kMaxTrailerBytes = 1 << 20;  // nghttp2 sends nothing at all of what is over

Session* Self(void* user_data) { return static_cast<Session*>(user_data); }

// A tenth more or less, so that not all clients of a server come back at once.
absl::Duration Jittered(absl::Duration age) {
  thread_local absl::InsecureBitGen random;
  return age == absl::InfiniteDuration() ? age : age * absl::Uniform(random, 0.9, 1.1);
}

}  // namespace

nghttp2_session_callbacks* Session::Callbacks() {
  static nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_on_begin_headers_callback(
        made,
        [](nghttp2_session*, const nghttp2_frame* frame, void* data) { return Self(data)->OnBeginHeaders(frame); });
    nghttp2_session_callbacks_set_on_header_callback(
        made, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                 const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* data) {
          if (Stream* stream = Self(data)->Find(frame->hd.stream_id)) {
            stream->OnHeader({reinterpret_cast<const char*>(name), name_size},
                             {reinterpret_cast<const char*>(value), value_size});
          }
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        made, [](nghttp2_session*, const nghttp2_frame* frame, void* data) { return Self(data)->OnFrame(frame); });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        made, [](nghttp2_session* http2, std::uint8_t, std::int32_t id, const std::uint8_t* bytes, std::size_t size,
                 void* data) {
          if (Stream* stream = Self(data)->Find(id)) {
            stream->OnData({reinterpret_cast<const char*>(bytes), size});
          } else {
            nghttp2_session_consume_connection(http2, size);
          }
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_send_callback(
        made, [](nghttp2_session*, const nghttp2_frame* frame, void* data) {
          // nghttp2 found a fault by itself.
          if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
            Self(data)->Fault("protocol");
          }
          if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
          Self(data)->meter_.Earn();
          if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
          if (Stream* stream = Self(data)->Find(frame->hd.stream_id)) stream->OnSent();
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        made, [](nghttp2_session*, std::int32_t id, std::uint32_t, void* data) {
          Session* const self = Self(data);
          self->later_.erase(id);
          self->waiting_.erase(id);
          self->streams_.erase(id);
          if (self->streams_.empty()) self->idle_since_ = self->Now();
          return 0;
        });
    return made;
  }();
  return callbacks;
}

Session::Session(Edge* edge, Backend* backend, Wire* wire)
    : edge_(edge),
      backend_(backend),
      wire_(wire),
      meter_(edge->limits.max_header_block_bytes, edge->limits.max_control_frames),
      received_(std::make_shared<ByteAccount>(edge->limits.max_connection_bytes)),
      aside_(edge->limits.max_connection_bytes / 4),
      began_(edge->clock->Now()),
      heard_(began_),
      idle_since_(began_),
      taken_at_(began_) {
  if (edge_->limits.max_age != absl::InfiniteDuration()) leaves_ = began_ + Jittered(edge_->limits.max_age);
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_http_messaging(option, 1);  // metadata.h checks, and says what is wrong
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_continuations(option, kMaxContinuations);
  // The meter bounds resets with the other control frames; nghttp2's own bound, 33 a second, is less than what a proxy
  // may pass on.
  const auto resets = static_cast<std::uint64_t>(edge_->limits.max_control_frames);
  nghttp2_option_set_stream_reset_rate_limit(option, 2 * resets, resets);
  nghttp2_option_set_max_send_header_block_length(option, kMaxTrailerBytes);
  const int made = nghttp2_session_server_new2(&http2_, Callbacks(), this, option);
  nghttp2_option_del(option);
  if (made != 0) {
    Fault("memory");
    return;
  }
  const auto window = static_cast<std::uint32_t>(edge_->limits.stream_window);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<std::uint32_t>(edge_->limits.max_streams)},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(edge_->limits.max_header_bytes)},
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
  nghttp2_submit_settings(http2_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(http2_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<std::int32_t>(edge_->limits.connection_window));
  Schedule(began_);
}

Session::~Session() {
  streams_.clear();
  nghttp2_session_del(http2_);
}

Stream* Session::Find(std::int32_t id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

int Session::OnBeginHeaders(const nghttp2_frame* frame) {
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  asked_ = true;
  streams_.emplace(frame->hd.stream_id, std::make_unique<Stream>(this, frame->hd.stream_id, Now()));
  return 0;
}

int Session::OnFrame(const nghttp2_frame* frame) {
  if (frame->hd.type == NGHTTP2_SETTINGS) spoke_ = true;
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  if (frame->hd.type == NGHTTP2_HEADERS) {
    if (Stream* stream = Find(frame->hd.stream_id)) stream->OnHeadersEnd(Now());
  }
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    if (Stream* stream = Find(frame->hd.stream_id)) stream->OnRemoteEnd();
  }
  return 0;
}

void Session::Receive(absl::string_view bytes) {
  if (!reads_) return;
  heard_ = Now();
  pinged_ = absl::InfiniteFuture();
  read_budget_ = kReadBudget;
  if (const absl::string_view fault = meter_.Follow(bytes, heard_); !fault.empty()) return Fault(fault);
  const ssize_t read =
      nghttp2_session_mem_recv(http2_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (read < 0) return Fault(read == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? "not_http2" : "protocol");
  StartCalls();
  // What has begun must be whole in time.
  if (!ticks_ && HasBegun()) Schedule(heard_);
}

void Session::StartCalls() {
  for (const std::int32_t id : std::exchange(starts_, {})) {
    if (Stream* stream = Find(id)) stream->StartWhole();
  }
}

void Session::Produce(std::size_t room, std::string* out) {
  while (http2_ != nullptr && out->size() < room) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(http2_, &bytes);
    if (size < 0) {
      Fault("memory");
      return;
    }
    if (size == 0) return;
    out->append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  }
}

bool Session::Reads() const { return reads_ && nghttp2_session_get_outbound_queue_size(http2_) < kMaxQueued; }

bool Session::Done() const {
  if (!reads_ || http2_ == nullptr) return true;
  return nghttp2_session_want_read(http2_) == 0 && nghttp2_session_want_write(http2_) == 0;
}

void Session::Fault(absl::string_view reason) {
  if (!reads_) return;
  reads_ = false;
  fault_ = std::string(reason);
  later_.clear();
  waiting_.clear();
  starts_.clear();
  for (const auto& [id, stream] : streams_) stream->Abandon();  // nghttp2 may still ask them
  if (http2_ != nullptr && !reason.empty()) {
    nghttp2_session_terminate_session(
        http2_, reason == "protocol" || reason == "not_http2" ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM);
  }
  wire_->Flush();
}

void Session::GoAway() {
  if (std::exchange(leaving_, true) || !reads_) return;
  nghttp2_submit_shutdown_notice(http2_);
  closes_ = Now() + edge_->limits.age_grace;
  leaves_ = Now() + kLastCalls;
  Schedule(Now());
  wire_->Flush();
}

void Session::ReadLater(std::int32_t stream) {
  later_.insert(stream);
  wire_->WakeAt(Now());
}

void Session::ReadWhenThereIsRoom(std::int32_t stream) {
  waiting_.insert(stream);
  wire_->WakeAt(Now() + kUntilThereIsRoom);
}

bool Session::AddUnread(std::int64_t bytes) {
  if (unread_ + bytes > edge_->limits.max_connection_unread_bytes || !edge_->unread.Take(bytes)) return false;
  if (unread_ == 0) taken_at_ = Now();
  unread_ += bytes;
  return true;
}

void Session::TakeUnread(std::int64_t bytes) {
  if (bytes == 0) return;
  edge_->unread.Give(bytes);
  unread_ -= bytes;
  taken_at_ = Now();
}

void Session::OnTime(absl::Time now) {
  if (!reads_) return;
  std::set<std::int32_t> later = std::exchange(waiting_, {});
  later.merge(later_);
  later_.clear();
  read_budget_ = kReadBudget;
  for (const std::int32_t id : later) {
    if (read_budget_ == 0) {
      later_.insert(id);
    } else if (Stream* stream = Find(id)) {
      stream->ReadMore();
    }
  }
  StartCalls();
  std::vector<Stream*> all;
  all.reserve(streams_.size());
  for (const auto& [id, stream] : streams_) all.push_back(stream.get());
  for (Stream* stream : all) stream->OnTime(now);  // what they end is destroyed when nghttp2 has sent it
  CheckConnection(now);
  if (reads_) Schedule(now);
}

void Session::CheckConnection(absl::Time now) {
  const EdgeLimits& limits = edge_->limits;
  if (!spoke_ && now >= began_ + limits.handshake_time) return Fault("handshake_time");
  if (!asked_ && now >= began_ + limits.first_request_time) return Fault("first_request_time");
  if (now >= meter_.block_since() + limits.header_time) return Fault("header_time");
  if (unread_ > 0 && now >= taken_at_ + limits.stalled_time) return Fault("stalled_time");
  if (now >= pinged_ + limits.keepalive_timeout) return Fault("keepalive_timeout");
  if (now >= closes_) return Fault("connection_age");
  if (now >= heard_ + limits.keepalive_time && pinged_ == absl::InfiniteFuture()) {
    pinged_ = now;
    nghttp2_submit_ping(http2_, NGHTTP2_FLAG_NONE, nullptr);
    wire_->Flush();
  }
  if (!leaving_ && (now >= leaves_ || (streams_.empty() && asked_ && now >= idle_since_ + limits.max_idle))) GoAway();
  if (leaving_ && !last_said_ && now >= leaves_) {
    last_said_ = true;
    nghttp2_submit_goaway(http2_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(http2_), NGHTTP2_NO_ERROR,
                          nullptr, 0);
    wire_->Flush();
  }
}

bool Session::HasBegun() const { return !streams_.empty() || meter_.block_since() != absl::InfiniteFuture(); }

void Session::Schedule(absl::Time now) {
  const EdgeLimits& limits = edge_->limits;
  absl::Time next =
      std::min({pinged_ == absl::InfiniteFuture() ? heard_ + limits.keepalive_time : pinged_ + limits.keepalive_timeout,
                last_said_ ? absl::InfiniteFuture() : leaves_, closes_});
  if (!spoke_) next = std::min(next, began_ + limits.handshake_time);
  if (!asked_) next = std::min(next, began_ + limits.first_request_time);
  if (streams_.empty() && asked_ && !leaving_) next = std::min(next, idle_since_ + limits.max_idle);
  ticks_ = HasBegun();
  if (ticks_) next = std::min(next, now + kTick);
  if (!waiting_.empty()) next = std::min(next, now + kUntilThereIsRoom);
  if (!later_.empty()) next = now;
  wire_->WakeAt(std::max(next, now));
}

}  // namespace heed
