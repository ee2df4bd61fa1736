#include "server/lifecycle/connections.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>

namespace heed {
namespace {

// A sweep asks the system about each connection, so those who are refused by the thousand do not each get one.
constexpr absl::Duration kBetweenSweeps = absl::Milliseconds(10);

std::optional<ino_t> SocketOf(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISSOCK(info.st_mode)) return std::nullopt;
  return info.st_ino;
}

}  // namespace

bool Connections::Add(int fd) {
  absl::MutexLock lock(&mu_);
  if (static_cast<int>(sockets_.size()) >= limit_ && clock_->Now() >= swept_ + kBetweenSweeps) Sweep();
  if (static_cast<int>(sockets_.size()) >= limit_) {
    ++refused_;
    return false;
  }
  if (const std::optional<ino_t> socket = SocketOf(fd)) sockets_[fd] = *socket;
  return true;
}

void Connections::Lower(int limit) {
  absl::MutexLock lock(&mu_);
  limit_ = std::max(1, std::min(limit_, limit));
}

void Connections::HangUp() {
  absl::MutexLock lock(&mu_);
  Sweep();
  for (const auto& [fd, socket] : sockets_) shutdown(fd, SHUT_WR);
}

ConnectionStats Connections::stats() const {
  absl::MutexLock lock(&mu_);
  Sweep();
  return {static_cast<int>(sockets_.size()), limit_, refused_};
}

void Connections::Sweep() const {
  absl::erase_if(sockets_, [](const auto& entry) { return SocketOf(entry.first) != entry.second; });
  swept_ = clock_->Now();
}

}  // namespace heed
