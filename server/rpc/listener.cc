#include "server/rpc/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/lifecycle/log.h"

namespace heed {
namespace {

constexpr int kBacklog = 4096;  // connections that wait to be accepted; the system may allow fewer
constexpr absl::Duration kUntilThereIsRoom = absl::Milliseconds(50);

absl::Status SystemError() { return absl::UnavailableError(std::strerror(errno)); }

bool SetOption(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

int PortOf(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

// A socket that listens there; -1: errno says why not.
int ListenOn(const addrinfo& where) {
  const int fd = socket(where.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  // No SO_REUSEPORT, so that a port in use is an error and not two servers that share it. [::] takes IPv4 too.
  if (SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
      (where.ai_family != AF_INET6 || SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) &&
      bind(fd, where.ai_addr, where.ai_addrlen) == 0 && listen(fd, kBacklog) == 0) {
    return fd;
  }
  const int why = errno;
  close(fd);
  errno = why;
  return -1;
}

// A name may have addresses that this machine does not.
bool IsNotHere(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

}  // namespace

absl::StatusOr<std::unique_ptr<RpcListener>> RpcListener::Open(const std::string& address, Connections* connections) {
  const std::size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port)) {
    return absl::UnavailableError("it is not HOST:PORT");
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  std::unique_ptr<RpcListener> listener(new RpcListener(connections));
  if (absl::Status status = listener->Bind(host, port); !status.ok()) return status;
  return listener;
}

absl::Status RpcListener::Bind(const std::string& host, int port) {
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &found); error != 0) {
    return error == EAI_SYSTEM ? SystemError() : absl::UnavailableError(gai_strerror(error));
  }
  const absl::Cleanup free_them = [found] { freeaddrinfo(found); };
  port_ = port;
  absl::Status not_here;
  for (addrinfo* where = found; where != nullptr; where = where->ai_next) {
    const std::uint16_t wanted = htons(static_cast<std::uint16_t>(port_));
    if (where->ai_family == AF_INET) {
      reinterpret_cast<sockaddr_in*>(where->ai_addr)->sin_port = wanted;
    } else if (where->ai_family == AF_INET6) {
      reinterpret_cast<sockaddr_in6*>(where->ai_addr)->sin6_port = wanted;
    } else {
      continue;
    }
    const int fd = ListenOn(*where);
    if (fd < 0) {
      if (!IsNotHere(errno)) return SystemError();
      not_here = SystemError();
      continue;
    }
    listening_.push_back(fd);
    if (port_ == 0) port_ = PortOf(fd);
  }
  if (listening_.empty()) return not_here.ok() ? absl::UnavailableError("the host has no address") : not_here;
  stop_ = eventfd(0, EFD_CLOEXEC);
  return stop_ < 0 ? SystemError() : absl::OkStatus();
}

void RpcListener::Start(absl::Duration user_timeout, std::function<void(int fd)> take) {
  user_timeout_ = user_timeout;
  take_ = std::move(take);
  thread_ = std::thread([this] { Run(); });
}

void RpcListener::Stop() {
  if (thread_.joinable()) {
    eventfd_write(stop_, 1);
    thread_.join();
  }
  for (const int fd : listening_) close(fd);
  listening_.clear();
  if (stop_ >= 0) close(std::exchange(stop_, -1));
}

void RpcListener::Run() {
  pthread_setname_np(pthread_self(), "heed-accept");
  std::vector<pollfd> all = {{stop_, POLLIN, 0}};
  for (const int fd : listening_) all.push_back({fd, POLLIN, 0});
  int full = 0;  // why there is no room, as errno says it
  for (;;) {
    // While there is none, connections wait in the system's queue.
    poll(all.data(), full != 0 ? 1 : all.size(),
         full != 0 ? static_cast<int>(absl::ToInt64Milliseconds(kUntilThereIsRoom)) : -1);
    if ((all[0].revents & POLLIN) != 0) return;
    const bool had_room = std::exchange(full, 0) == 0;
    for (const int fd : listening_) {
      if (const int error = Accept(fd); error != 0) full = error;
    }
    if (had_room && full != 0) Log(LogLevel::kWarning, "accept_waits", {{"reason", std::strerror(full)}});
  }
}

int RpcListener::Accept(int listening) {
  for (;;) {
    const int fd = accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      Take(fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      return errno;
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return 0;  // none waits, or this one came to nothing
    }
  }
}

void RpcListener::Take(int fd) {
  if (!connections_->Add(fd)) {
    close(fd);
    return;
  }
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(absl::ToInt64Milliseconds(user_timeout_)));
  take_(fd);
}

}  // namespace heed
