#include "server/net/socket_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "engine/base/status_macros.h"

namespace heed {

// Add and HangUp are any thread's, all else is the loop's.
class SocketServer::Shard : public ConnectionOwner {
 public:
  Shard(SocketServer* server, Lane lane) : server_(server), lane_(std::move(lane)) {}
  ~Shard() override {
    for (const auto& connection : connections_) server_->counts_->Leave(connection->peer().address, "");
  }

  void Add(int fd, Peer peer, ConnectionOptions options) {
    lane_.loop->Submit([this, fd, peer = std::move(peer), options = std::move(options)]() mutable {
      auto connection = std::make_unique<Connection>(lane_.loop, fd, std::move(peer), std::move(options), this);
      Connection* const raw = connection.get();
      raw->place = connections_.insert(connections_.end(), std::move(connection));
      raw->Start();
    });
  }

  void CloseSilent() {
    lane_.loop->Submit([this] {
      if (!connections_.empty()) connections_.front()->Cut("made_room");
    });
  }

  void HangUp() {
    lane_.loop->Submit([this] {
      for (auto next = connections_.begin(); next != connections_.end();) (next++)->get()->HangUp();
    });
  }

 private:
  std::unique_ptr<Protocol> MakeProtocol(Wire* wire) override { return lane_.make(wire); }
  bool OnAddress(const std::string& before, const std::string& now) override {
    return server_->counts_->Move(before, now);
  }
  void OnActive(Connection* connection) override {
    connections_.splice(connections_.end(), connections_, connection->place);
  }
  void OnClosed(Connection* connection, absl::string_view fault) override {
    server_->counts_->Leave(connection->peer().address, fault);
    std::unique_ptr<Connection> gone = std::move(*connection->place);
    connections_.erase(connection->place);
    lane_.loop->DeleteLater(std::move(gone));
  }

  SocketServer* const server_;
  const Lane lane_;
  std::list<std::unique_ptr<Connection>> connections_;  // the longest silent one first
};

SocketServer::SocketServer(SocketServerOptions options, TlsContext* tls, ConnectionCounts* counts)
    : options_(std::move(options)), tls_(tls), counts_(counts) {}

SocketServer::~SocketServer() { StopAccepting(); }

absl::StatusOr<std::unique_ptr<SocketServer>> SocketServer::Open(SocketServerOptions options, TlsContext* tls,
                                                                 ConnectionCounts* counts) {
  std::unique_ptr<SocketServer> server(new SocketServer(std::move(options), tls, counts));
  HEED_ASSIGN_OR_RETURN(server->listener_, Listener::Open(server->options_.address));
  return server;
}

absl::Status SocketServer::Start(std::vector<Lane> lanes) {
  for (Lane& lane : lanes) shards_.push_back(std::make_unique<Shard>(this, std::move(lane)));
  return listener_->Start(
      options_.thread_name, [this](int fd, Peer peer) { Take(fd, std::move(peer)); }, options_.waits);
}

void SocketServer::StopAccepting() {
  if (listener_ != nullptr) listener_->Stop();
}

void SocketServer::HangUp() {
  for (const auto& shard : shards_) shard->HangUp();
}

void SocketServer::Take(int fd, Peer peer) {
  Shard* const shard = shards_[next_++ % shards_.size()].get();
  if (options_.close_silent && counts_->full()) {
    shard->CloseSilent();
    if (!counts_->EnterOver(peer.address)) {
      close(fd);
      return;
    }
  } else if (!counts_->Enter(peer.address)) {
    close(fd);
    return;
  }
  if (options_.user_timeout > absl::ZeroDuration()) {
    const int value = static_cast<int>(absl::ToInt64Milliseconds(options_.user_timeout));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value);
  }
  ConnectionOptions options;
  if (tls_ != nullptr) options.tls = tls_->Current();
  options.proxy_header = options_.proxies.Contains(peer.address);
  options.handshake_time = options_.handshake_time;
  options.stalled_time = options_.stalled_time;
  shard->Add(fd, std::move(peer), std::move(options));
}

}  // namespace heed
