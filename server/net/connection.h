// A socket on its loop, and what is spoken on it: an optional PROXY header, optional TLS, then a Protocol. It reads a
// bounded piece a turn, so that no connection keeps the others waiting, writes what the protocol produces, and closes:
// when the protocol is done, when the peer takes nothing for too long, or when it does not come to the point.
//
// Not thread-safe: all of it happens on the loop's thread.
#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/net/event_loop.h"
#include "server/net/protocol.h"

namespace heed {

class Connection;

// Who has the connections of a loop.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual std::unique_ptr<Protocol> MakeProtocol(Wire* wire) = 0;
  // The PROXY header gave another address. False: that one has as many connections as may be.
  virtual bool OnAddress(const std::string& before, const std::string& now) = 0;
  // It heard something.
  virtual void OnActive(Connection* connection) = 0;
  // It is closed, and is destroyed after the turn. `fault`: why, empty where nothing is wrong.
  virtual void OnClosed(Connection* connection, absl::string_view fault) = 0;
};

struct ConnectionOptions {
  std::shared_ptr<SSL_CTX> tls;   // null: plain text
  bool proxy_header = false;      // one must come first
  absl::Duration handshake_time;  // for both
  absl::Duration stalled_time;    // that the peer may take nothing of what is to be sent
};

class Connection : public EventLoop::Source, public Wire {
 public:
  // Closes `fd` at its end. Start follows.
  Connection(EventLoop* loop, int fd, Peer peer, ConnectionOptions options, ConnectionOwner* owner);
  ~Connection() override;

  void Start();
  // Sends what there is, as far as the peer takes it now, and closes.
  void HangUp();
  // Closes at once, whatever there is to be sent: for one that must make room.
  void Cut(absl::string_view fault) { Close(fault); }

  void Flush() override;
  void WakeAt(absl::Time time) override { wake_.Set(time); }
  const Peer& peer() const override { return peer_; }

  // Its place among its owner's.
  std::list<std::unique_ptr<Connection>>::iterator place;

 private:
  enum class State { kProxyHeader, kHandshake, kOpen, kLingering, kClosed };

  void OnReady(std::uint32_t events) override;
  void OnSoon() override;
  void OnTimer(absl::Time now);

  void Begin();  // what comes after the PROXY header
  // `ended`: nothing more comes.
  void ReadHeader(bool ended);
  // The socket tells of what it has from so many bytes on.
  void TellFrom(int bytes);
  void Handshake();
  void Open();
  void ReadSome();
  void WriteSome();
  // As read and write: -1 with errno EAGAIN where it would wait, 0 at the end.
  long Read(char* bytes, std::size_t size);
  long Write(absl::string_view bytes);
  long TlsResult(int result);
  void UpdateWatch();
  // Nothing more is sent; what the peer still sends is thrown away until it closes too, so that it gets our last words.
  void Linger(absl::string_view fault);
  void Close(absl::string_view fault);
  // The peer is gone: closes for what was wrong before, if anything was.
  void CloseGone();

  EventLoop* const loop_;
  const int fd_;
  Peer peer_;
  const ConnectionOptions options_;
  ConnectionOwner* const owner_;
  SSL* ssl_ = nullptr;
  State state_ = State::kProxyHeader;
  std::unique_ptr<Protocol> protocol_;
  std::string head_;  // of the PROXY header, so far
  std::string out_;   // produced and not sent: from sent_ on
  std::size_t sent_ = 0;
  std::string fault_;         // while it lingers
  bool soon_ = false;         // OnSoon will come
  bool ended_ = false;        // the peer sends no more
  bool read_again_ = false;   // TLS has bytes that the socket does not tell of
  bool wants_write_ = false;  // what is to be sent, or TLS, waits for the socket
  std::uint32_t watched_ = 0;
  EventLoop::Timer wake_;   // the protocol's
  EventLoop::Timer timer_;  // handshake, stall, lingering
  bool stalled_ = false;    // timer_ is set for it
};

}  // namespace heed
