#include "server/net/connection.h"

#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "server/net/proxy_header.h"
#include "server/net/tls.h"

namespace heed {
namespace {

constexpr std::size_t kRead = 16 << 10;         // bytes at a time and, but for TLS, in a turn
constexpr std::size_t kProduce = 64 << 10;      // bytes made at a time
constexpr std::size_t kWritePerTurn = 1 << 20;  // bytes
constexpr absl::Duration kLingerTime = absl::Seconds(1);

}  // namespace

Connection::Connection(EventLoop* loop, int fd, Peer peer, ConnectionOptions options, ConnectionOwner* owner)
    : loop_(loop),
      fd_(fd),
      peer_(std::move(peer)),
      options_(std::move(options)),
      owner_(owner),
      wake_(loop,
            [this](absl::Time now) {
              if (state_ != State::kOpen) return;
              protocol_->OnTime(now);
              Flush();
            }),
      timer_(loop, [this](absl::Time now) { OnTimer(now); }) {}

Connection::~Connection() {
  protocol_.reset();
  if (ssl_ != nullptr) SSL_free(ssl_);
  if (state_ != State::kClosed) loop_->Forget(fd_);
  close(fd_);
}

void Connection::Start() {
  timer_.Set(loop_->now() + options_.handshake_time);
  if (options_.proxy_header) {
    UpdateWatch();
  } else {
    Begin();
  }
}

void Connection::Begin() {
  if (options_.tls == nullptr) return Open();
  state_ = State::kHandshake;
  ssl_ = SSL_new(options_.tls.get());
  if (ssl_ == nullptr || SSL_set_fd(ssl_, fd_) != 1) return Close("tls");
  SSL_set_accept_state(ssl_);
  Handshake();
}

void Connection::ReadHeader(bool ended) {
  // What follows the header stays in the socket: TLS reads from there by itself.
  std::array<char, kMaxProxyHeader> bytes;
  const long peeked = recv(fd_, bytes.data(), bytes.size(), MSG_PEEK);
  if (peeked < 0 && errno == EAGAIN) return;
  if (peeked <= 0) return Close("");
  const absl::StatusOr<ProxyHeader> header =
      ReadProxyHeader(absl::string_view(bytes.data(), static_cast<std::size_t>(peeked)));
  if (!header.ok()) return Close("proxy_header");
  if (header->size == 0) {
    if (ended) return Close("");
    if (static_cast<std::size_t>(peeked) == bytes.size()) return Close("proxy_header");
    return TellFrom(static_cast<int>(peeked) + 1);
  }
  if (recv(fd_, bytes.data(), header->size, 0) != static_cast<long>(header->size)) return Close("proxy_header");
  TellFrom(1);
  if (!header->address.empty()) {
    if (!owner_->OnAddress(peer_.address, header->address)) return Close("address_connections");
    peer_.address = header->address;
    peer_.port = header->port;
  }
  Begin();
}

void Connection::TellFrom(int bytes) { setsockopt(fd_, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes); }

void Connection::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result == 1) {
    peer_.tls = true;
    if (X509* certificate = SSL_get_peer_certificate(ssl_)) {
      peer_.identity = IdentityOf(certificate);
      X509_free(certificate);
    }
    return Open();
  }
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      wants_write_ = false;
      return UpdateWatch();
    case SSL_ERROR_WANT_WRITE:
      wants_write_ = true;
      return UpdateWatch();
    default:
      ERR_clear_error();
      return Close("tls");
  }
}

void Connection::Open() {
  state_ = State::kOpen;
  wants_write_ = false;
  timer_.Set(absl::InfiniteFuture());
  protocol_ = owner_->MakeProtocol(this);
  read_again_ = true;
  Flush();
}

void Connection::Flush() {
  if (soon_ || state_ == State::kClosed) return;
  soon_ = true;
  loop_->Soon(this);
}

void Connection::OnReady(std::uint32_t events) {
  if ((events & EPOLLERR) != 0 && state_ != State::kClosed) return CloseGone();
  switch (state_) {
    case State::kProxyHeader:
      return ReadHeader((events & EPOLLRDHUP) != 0);
    case State::kHandshake:
      return Handshake();
    case State::kOpen:
      if ((events & EPOLLOUT) != 0) wants_write_ = false;
      read_again_ = read_again_ || (events & (EPOLLIN | EPOLLHUP)) != 0;
      return Flush();
    case State::kLingering:
      return ReadSome();
    case State::kClosed:
      return;
  }
}

void Connection::OnSoon() {
  soon_ = false;
  if (state_ != State::kOpen) return;
  if (read_again_ && protocol_->Reads() && !ended_) {
    read_again_ = false;
    ReadSome();
  }
  if (state_ == State::kOpen && !wants_write_) WriteSome();
  if (state_ != State::kOpen) return;
  // It reads again now that something was sent; the socket does not tell of what TLS has.
  if (read_again_ && protocol_->Reads() && !ended_) Flush();
  UpdateWatch();
}

void Connection::ReadSome() {
  std::array<char, kRead> bytes;
  const long count = Read(bytes.data(), bytes.size());
  if (count < 0 && errno == EAGAIN) return;
  if (state_ == State::kLingering) {
    if (count <= 0) Close(fault_);
    return;
  }
  if (count < 0) return CloseGone();
  owner_->OnActive(this);
  if (count == 0) {
    ended_ = true;
    protocol_->OnEnd();
    return;
  }
  protocol_->Receive(absl::string_view(bytes.data(), static_cast<std::size_t>(count)));
  // TLS may have more of the record, which the socket does not tell of.
  if (ssl_ != nullptr && SSL_has_pending(ssl_) != 0) {
    read_again_ = true;
    Flush();
  }
}

void Connection::WriteSome() {
  std::size_t written = 0;
  while (written < kWritePerTurn) {
    if (sent_ == out_.size()) {
      out_.clear();
      sent_ = 0;
      protocol_->Produce(kProduce, &out_);
      if (out_.empty()) {
        if (out_.capacity() > 0) out_ = std::string();  // an idle connection keeps no buffer
        timer_.Set(absl::InfiniteFuture());
        stalled_ = false;
        if (protocol_->Done()) Linger(protocol_->fault());
        return;
      }
    }
    const long count = Write(absl::string_view(out_).substr(sent_));
    if (count < 0 && errno == EAGAIN) {
      wants_write_ = true;
      if (!std::exchange(stalled_, true)) timer_.Set(loop_->now() + options_.stalled_time);
      return;
    }
    if (count <= 0) return CloseGone();
    sent_ += static_cast<std::size_t>(count);
    written += static_cast<std::size_t>(count);
    stalled_ = false;
    timer_.Set(absl::InfiniteFuture());
  }
  // The rest in another turn, if the peer still takes it.
  wants_write_ = true;
  stalled_ = true;
  timer_.Set(loop_->now() + options_.stalled_time);
}

long Connection::Read(char* bytes, std::size_t size) {
  if (ssl_ == nullptr) return recv(fd_, bytes, size, 0);
  ERR_clear_error();
  return TlsResult(SSL_read(ssl_, bytes, static_cast<int>(size)));
}

long Connection::Write(absl::string_view bytes) {
  if (ssl_ == nullptr) return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  ERR_clear_error();
  return TlsResult(SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())));
}

long Connection::TlsResult(int result) {
  if (result > 0) return result;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      errno = EAGAIN;
      return -1;
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    default:
      ERR_clear_error();
      errno = ECONNRESET;
      return -1;
  }
}

void Connection::UpdateWatch() {
  std::uint32_t events = 0;
  switch (state_) {
    case State::kProxyHeader:
      events = EPOLLIN | EPOLLRDHUP;  // looking at what is there does not tell of the end behind it
      break;
    case State::kLingering:
      events = EPOLLIN;
      break;
    case State::kHandshake:
      events = wants_write_ ? EPOLLOUT : EPOLLIN;
      break;
    case State::kOpen:
      if (protocol_->Reads() && !ended_) events |= EPOLLIN;
      if (wants_write_) events |= EPOLLOUT;
      break;
    case State::kClosed:
      return;
  }
  if (events == watched_ && watched_ != 0) return;
  if (!loop_->Watch(fd_, events, this)) return Close("system");
  watched_ = events;
}

void Connection::OnTimer(absl::Time /*now*/) {
  switch (state_) {
    case State::kProxyHeader:
    case State::kHandshake:
      return Close("handshake_time");
    case State::kOpen:
      return Close("stalled_time");
    case State::kLingering:
      return Close(fault_);
    case State::kClosed:
      return;
  }
}

void Connection::HangUp() {
  if (state_ == State::kOpen) WriteSome();
  if (state_ == State::kOpen) {
    Linger("");
  } else if (state_ != State::kLingering) {
    Close("");
  }
}

void Connection::Linger(absl::string_view fault) {
  fault_ = std::string(fault);
  state_ = State::kLingering;
  wake_.Set(absl::InfiniteFuture());
  protocol_.reset();
  out_ = std::string();
  if (ssl_ != nullptr) SSL_shutdown(ssl_);
  if (ended_ || shutdown(fd_, SHUT_WR) != 0) return Close(fault_);
  timer_.Set(loop_->now() + kLingerTime);
  UpdateWatch();
}

void Connection::CloseGone() { Close(protocol_ != nullptr ? protocol_->fault() : absl::string_view(fault_)); }

void Connection::Close(absl::string_view fault) {
  if (state_ == State::kClosed) return;
  const std::string why(fault);  // it may be of what goes now
  state_ = State::kClosed;
  wake_.Set(absl::InfiniteFuture());
  timer_.Set(absl::InfiniteFuture());
  protocol_.reset();
  loop_->Forget(fd_);
  owner_->OnClosed(this, why);
}

}  // namespace heed
