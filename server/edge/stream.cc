#include "server/edge/stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/quote.h"
#include "engine/base/status_macros.h"
#include "server/edge/session.h"

namespace heed {
namespace {

// What a call takes at the edge and behind it beside its messages, about.
constexpr std::int64_t kCallBytes = 8 << 10;
// After a call's deadline: for the words that say so to come from where they are known better.
constexpr absl::Duration kAnswerTime = absl::Seconds(1);
constexpr char kAccepts[] = "identity,deflate,gzip";

nghttp2_nv Header(absl::string_view name, absl::string_view value, bool index = true) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          static_cast<std::uint8_t>(index ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX)};
}

nghttp2_nv AsHeader(const std::pair<std::string, std::string>& trailer) {
  return Header(trailer.first, trailer.second, trailer.first == "grpc-status");
}

ssize_t ReadAnswer(nghttp2_session*, std::int32_t, std::uint8_t* buffer, std::size_t length, std::uint32_t* flags,
                   nghttp2_data_source* source, void*) {
  return static_cast<Stream*>(source->ptr)->Produce(buffer, length, flags);
}

const char* HttpStatus(const RequestHead& head) {
  if (head.method != "POST") return "405";
  return absl::StartsWith(head.content_type, "application/grpc") ? "200" : "415";
}

}  // namespace

Stream::Stream(Session* session, std::int32_t id, absl::Time now)
    : session_(session),
      id_(id),
      head_(session->edge()->limits.max_header_bytes),
      due_(now + session->edge()->limits.message_time),
      taken_at_(now) {
  if (!session->edge()->transport.Take(kCallBytes)) {
    session->edge()->transport.Give(-kCallBytes);  // it is there all the same, and soon gone
    refused_ = true;
  }
}

Stream::~Stream() {
  GiveAside();
  DropCall();
  DropAnswer();
  // The stream is gone, the connection's window is still there.
  const std::size_t unread = pending_.size() - std::min(pending_.size(), aside_left_);
  if (unread > 0) nghttp2_session_consume_connection(session_->Http2(), unread);
  session_->edge()->transport.Give(kCallBytes);
}

void Stream::DropCall() {
  if (call_ != nullptr) std::exchange(call_, nullptr)->Drop();
}

void Stream::DropAnswer() {
  session_->TakeUnread(out_bytes_);
  out_bytes_ = 0;
  out_.clear();
}

void Stream::OnHeader(absl::string_view name, absl::string_view value) {
  if (!began_) head_.Add(name, value);
}

void Stream::OnHeadersEnd(absl::Time now) {
  if (std::exchange(began_, true)) return;  // a client's trailers mean nothing
  if (ended_) return;
  if (refused_) {
    return Fail(
        absl::ResourceExhaustedError("the server's connections take as much memory as they may; try again later"),
        "transport_bytes");
  }
  const absl::Status fault = head_.Finish();
  if (fault.code() == absl::StatusCode::kResourceExhausted) return Fail(fault, "metadata_bytes");
  if (!fault.ok()) return Fail(fault, "metadata");
  if (absl::Status status = Check(); !status.ok()) return Fail(status, "method");
  const EdgeLimits& limits = session_->edge()->limits;
  if (head_.head().timeout.has_value()) {
    deadline_ = now + std::min(*head_.head().timeout, limits.max_deadline);
    due_ = std::min(due_, deadline_);
  }
  reader_.emplace(MessageReader::Options{.max_message_bytes = method_->max_message_bytes,
                                         .compressed = head_.head().encoding == Encoding::kGzip,
                                         .all = &session_->edge()->transport,
                                         .own = session_->received()});
  if (method_->shape == Shape::kBidi) Start();
}

absl::Status Stream::Check() {
  const RequestHead& head = head_.head();
  if (head.method != "POST") {
    return absl::InternalError(absl::StrCat("the request's method is ", Quote(head.method), "; it must be POST"));
  }
  if (!absl::StartsWith(head.content_type, "application/grpc")) {
    return absl::InternalError(
        absl::StrCat("the request's content-type is ", Quote(head.content_type), "; it must be application/grpc"));
  }
  const auto found = session_->edge()->methods.find(head.path);
  if (found == session_->edge()->methods.end()) {
    return absl::UnimplementedError(absl::StrCat("there is no method ", Quote(head.path)));
  }
  method_ = &found->second;
  if (head.encoding == Encoding::kUnknown) {
    return absl::UnimplementedError(
        absl::StrCat("grpc-encoding is ", Quote(head.encoding_name), "; it must be one of ", kAccepts));
  }
  return absl::OkStatus();
}

void Stream::OnData(absl::string_view bytes) {
  if (ended_ || !reader_.has_value()) return Consume(bytes.size());
  if (pending_.empty() && !bidi_waits_ && !reader_->waits()) return Read(bytes);
  pending_.append(bytes.data(), bytes.size());  // within the stream's window
  if (reader_->waits()) KeepAside(bytes.size());
}

// The connection's window is its other calls' too, so what waits for room is held in the accounts instead.
void Stream::KeepAside(std::size_t bytes) {
  const auto more = static_cast<std::int64_t>(bytes);
  ByteAccount* const accounts[] = {&session_->edge()->aside, session_->aside(), &session_->edge()->transport,
                                   session_->received().get()};
  for (ByteAccount* const account : accounts) {
    if (account->Take(more)) continue;
    for (ByteAccount* const* before = accounts; *before != account; ++before) (*before)->Give(more);
    return Fail(
        absl::ResourceExhaustedError("the connection's requests under way take as much memory as they may while "
                                     "they are received; try again later"),
        "message_bytes");
  }
  aside_ += more;
  aside_left_ += bytes;
  nghttp2_session_consume_connection(session_->Http2(), bytes);
}

void Stream::GiveAside() {
  session_->edge()->aside.Give(aside_);
  session_->aside()->Give(aside_);
  session_->edge()->transport.Give(aside_);
  session_->received()->Give(aside_);
  aside_ = 0;
}

void Stream::Consume(std::size_t bytes) {
  const std::size_t told = std::min(bytes, aside_left_);
  aside_left_ -= told;
  if (told > 0) nghttp2_session_consume_stream(session_->Http2(), id_, told);
  if (bytes > told) nghttp2_session_consume(session_->Http2(), id_, bytes - told);
}

void Stream::ReadMore() {
  if (ended_ || bidi_waits_ || !reader_.has_value()) return;
  const std::string bytes = std::exchange(pending_, "");
  Read(bytes);
}

void Stream::Read(absl::string_view bytes) {
  std::size_t& budget = *session_->read_budget();
  const bool waited = reader_->waits();
  while ((!bytes.empty() || reader_->waits()) && budget > 0 && !bidi_waits_ && !ended_) {
    const std::size_t before = bytes.size();
    absl::Status status = reader_->Read(&bytes, &budget);
    Consume(before - bytes.size());
    if (reader_->waits()) break;
    if (reader_->large() && !std::exchange(widened_, true)) {
      nghttp2_session_set_local_window_size(session_->Http2(), NGHTTP2_FLAG_NONE, id_,
                                            static_cast<std::int32_t>(session_->edge()->limits.large_window));
    }
    if (status.ok() && reader_->whole()) status = OnWhole();
    if (!status.ok()) {
      Consume(bytes.size());
      return Fail(status, status.code() == absl::StatusCode::kResourceExhausted ? "message_bytes" : "message");
    }
  }
  if (ended_) return Consume(bytes.size());
  pending_.assign(bytes.data(), bytes.size());
  const bool waits = reader_->waits();
  if (waits != waited) {
    // Its time runs while it is the client's turn.
    due_ = waits ? deadline_ : std::min(session_->Now() + session_->edge()->limits.message_time, deadline_);
    if (waits) {
      KeepAside(pending_.size());
    } else {
      GiveAside();
    }
  }
  if (ended_) return;
  if (waits) return session_->ReadWhenThereIsRoom(id_);
  if (!pending_.empty()) {
    if (!bidi_waits_) session_->ReadLater(id_);
  } else if (remote_ended_) {
    OnRemoteEnd();
  }
}

absl::Status Stream::OnWhole() {
  std::unique_ptr<HeldBytes> message = reader_->Take();
  if (method_->shape == Shape::kBidi) {
    bidi_waits_ = true;
    due_ = absl::InfiniteFuture();
    call_->Give(std::move(message));
    return absl::OkStatus();
  }
  if (message_ != nullptr) return absl::InvalidArgumentError("the call has more than one message; it must have one");
  message_ = std::move(message);
  return absl::OkStatus();
}

void Stream::OnRemoteEnd() {
  remote_ended_ = true;
  if (ended_ || !reader_.has_value() || !pending_.empty() || reader_->waits()) return;
  if (reader_->inside()) return Fail(absl::InvalidArgumentError("the call's message ends too early"), "message");
  due_ = absl::InfiniteFuture();
  if (method_->shape == Shape::kBidi) {
    if (call_ != nullptr && !bidi_waits_) call_->GiveEnd();
    return;
  }
  if (message_ == nullptr && call_ == nullptr) {
    return Fail(absl::InvalidArgumentError("the call has no message; it must have one"), "message");
  }
  if (call_ == nullptr) session_->StartLater(id_);
}

void Stream::StartWhole() {
  if (ended_ || call_ != nullptr) return;
  reader_.reset();  // there is nothing more to read
  Start();
}

void Stream::OnTaken() {
  bidi_waits_ = false;
  due_ = std::min(session_->Now() + session_->edge()->limits.message_time, deadline_);
  if (!pending_.empty()) return session_->ReadLater(id_);
  if (remote_ended_) OnRemoteEnd();
}

void Stream::Start() {
  CallStart start;
  start.path = &head_.head().path;
  start.shape = method_->shape;
  start.deadline = deadline_;
  start.metadata = std::move(head_.head().metadata);
  start.peer = &session_->peer();
  start.wants_gzip = head_.head().takes_gzip && head_.head().encoding_name == "gzip";
  start.message = std::move(message_);
  call_ = session_->backend()->Start(std::move(start), this);
}

void Stream::OnMessage(AnswerBytes message, bool gzip) {
  if (ended_) return;
  const auto bytes = static_cast<std::int64_t>(message.bytes.size());
  if (!session_->AddUnread(bytes)) {
    return Fail(absl::ResourceExhaustedError(absl::StrCat(
                    "the answer's ", bytes, " bytes are more than the connection's client leaves room for: it has not ",
                    "taken earlier ones")),
                "unread_bytes");
  }
  if (!head_sent_) SubmitHeaders(gzip);
  if (out_.empty()) taken_at_ = session_->Now();
  Out& out = out_.emplace_back();
  const auto size = static_cast<std::uint32_t>(bytes);
  out.prefix = {static_cast<char>(gzip ? 1 : 0), static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                static_cast<char>(size >> 8), static_cast<char>(size)};
  out.message = std::move(message);
  out_bytes_ += bytes;
  nghttp2_session_resume_data(session_->Http2(), id_);
  session_->Flush();
}

void Stream::SubmitHeaders(bool gzip) {
  head_sent_ = true;
  const nghttp2_nv headers[] = {Header(":status", "200"), Header("content-type", "application/grpc"),
                                Header("grpc-accept-encoding", kAccepts), Header("grpc-encoding", "gzip")};
  nghttp2_data_provider provider;
  provider.source.ptr = this;
  provider.read_callback = ReadAnswer;
  nghttp2_submit_response(session_->Http2(), id_, headers, gzip ? 4 : 3, &provider);
}

void Stream::OnEnd(const absl::Status& status, const std::string& details, const Metadata& trailers) {
  call_ = nullptr;
  if (ended_) return;
  ended_ = true;
  due_ = absl::InfiniteFuture();
  trailers_.emplace_back("grpc-status", absl::StrCat(static_cast<int>(status.code())));
  if (!status.ok()) trailers_.emplace_back("grpc-message", EncodeMessage(status.message()));
  if (!details.empty()) {
    trailers_.emplace_back("grpc-status-details-bin", EncodeValue("grpc-status-details-bin", details));
  }
  for (const auto& [name, value] : trailers) trailers_.emplace_back(name, EncodeValue(name, value));
  if (head_sent_) {
    nghttp2_session_resume_data(session_->Http2(), id_);
  } else {
    head_sent_ = true;
    std::vector<nghttp2_nv> headers = {Header(":status", HttpStatus(head_.head())),
                                       Header("content-type", "application/grpc"),
                                       Header("grpc-accept-encoding", kAccepts)};
    for (const auto& trailer : trailers_) headers.push_back(AsHeader(trailer));
    nghttp2_submit_headers(session_->Http2(), NGHTTP2_FLAG_END_STREAM, id_, nullptr, headers.data(), headers.size(),
                           nullptr);
  }
  session_->Flush();
}

void Stream::Abandon() {
  GiveAside();
  DropCall();
  DropAnswer();
  message_.reset();
  reader_.reset();
  ended_ = true;
}

ssize_t Stream::Produce(std::uint8_t* buffer, std::size_t length, std::uint32_t* flags) {
  std::size_t made = 0;
  while (made < length && !out_.empty()) {
    Out& out = out_.front();
    const absl::string_view part = out_sent_ < out.prefix.size()
                                       ? absl::string_view(out.prefix).substr(out_sent_)
                                       : out.message.bytes.substr(out_sent_ - out.prefix.size());
    const std::size_t copied = std::min(length - made, part.size());
    std::memcpy(buffer + made, part.data(), copied);
    made += copied;
    out_sent_ += copied;
    if (out_sent_ < out.prefix.size() + out.message.bytes.size()) continue;
    const auto bytes = static_cast<std::int64_t>(out.message.bytes.size());
    session_->TakeUnread(bytes);
    out_bytes_ -= bytes;
    out_sent_ = 0;
    out_.pop_front();
  }
  if (made > 0) {
    taken_at_ = session_->Now();
    session_->OnProgress();
  }
  if (!out_.empty()) return static_cast<ssize_t>(made);
  if (!ended_) return made > 0 ? static_cast<ssize_t>(made) : ssize_t{NGHTTP2_ERR_DEFERRED};
  *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
  std::vector<nghttp2_nv> trailers;
  for (const auto& trailer : trailers_) trailers.push_back(AsHeader(trailer));
  nghttp2_submit_trailer(session_->Http2(), id_, trailers.data(), trailers.size());
  return static_cast<ssize_t>(made);
}

void Stream::OnSent() {
  sent_ = true;
  // The rest of a request that is answered is for nobody.
  if (!remote_ended_) {
    nghttp2_submit_rst_stream(session_->Http2(), NGHTTP2_FLAG_NONE, id_, NGHTTP2_NO_ERROR);
    session_->Flush();
  }
}

void Stream::Fail(const absl::Status& status, absl::string_view reason) {
  if (ended_) return;
  session_->edge()->counts.Refused(reason);
  DropCall();
  DropAnswer();
  out_sent_ = 0;
  GiveAside();
  Consume(std::exchange(pending_, "").size());
  message_.reset();
  reader_.reset();
  OnEnd(status, "", {});
}

void Stream::OnTime(absl::Time now) {
  if (now >= due_ && !ended_) {
    if (now >= deadline_) {
      return Fail(absl::DeadlineExceededError("the deadline passed before the call's message was whole"),
                  "message_time");
    }
    return Fail(absl::DeadlineExceededError(absl::StrCat("the call's message was not whole within ",
                                                         absl::FormatDuration(session_->edge()->limits.message_time))),
                "message_time");
  }
  if (now >= deadline_ + kAnswerTime && !ended_) {
    return Fail(absl::DeadlineExceededError("the deadline passed"), "deadline");
  }
  if (head_sent_ && !sent_ && !out_.empty() && now >= taken_at_ + session_->edge()->limits.stalled_time) {
    session_->edge()->counts.Refused("stalled");
    DropCall();
    DropAnswer();
    ended_ = true;
    nghttp2_submit_rst_stream(session_->Http2(), NGHTTP2_FLAG_NONE, id_, NGHTTP2_CANCEL);
    session_->Flush();
  }
}

}  // namespace heed
