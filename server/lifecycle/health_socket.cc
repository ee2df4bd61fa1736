#include "server/lifecycle/health_socket.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/status_macros.h"
#include "server/lifecycle/log.h"

namespace heed {
namespace {

constexpr char kPrefix[] = "heed-server/";
constexpr std::size_t kMaxAddress = 70;  // of 107 bytes that a name may have; the end of a longer address is kept
constexpr int kBacklog = 64;
constexpr timeval kLongestWait = {2, 0};
constexpr int kUntilThereIsRoomMs = 50;

absl::Status SystemError() { return absl::UnavailableError(std::strerror(errno)); }

const char* StateName(ServerState state) {
  switch (state) {
    case ServerState::kStarting:
      return "STARTING";
    case ServerState::kServing:
      return "SERVING";
    case ServerState::kDraining:
      return "DRAINING";
  }
  return "UNKNOWN";
}

// "mnt:[4026531840]"; empty where /proc is not mounted, which is the same on both sides.
std::string OwnMounts() {
  std::error_code error;
  std::string link = std::filesystem::read_symlink("/proc/self/ns/mnt", error).string();
  absl::string_view number = link;
  absl::ConsumePrefix(&number, "mnt:[");
  absl::ConsumeSuffix(&number, "]");
  return std::string(number);
}

absl::string_view Cut(absl::string_view address) {
  return address.substr(address.size() - std::min(address.size(), kMaxAddress));
}

struct Address {
  sockaddr_un socket = {};
  socklen_t size = 0;
};

// A name whose first byte is NUL is abstract.
Address AddressOf(const HealthName& server) {
  const std::string name = absl::StrCat(kPrefix, server.mounts, "/", Cut(server.address));
  Address address;
  address.socket.sun_family = AF_UNIX;
  name.copy(address.socket.sun_path + 1, sizeof address.socket.sun_path - 1);
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 +
                                        std::min(name.size(), sizeof address.socket.sun_path - 1));
  return address;
}

const sockaddr* Plain(const Address& address) { return reinterpret_cast<const sockaddr*>(&address.socket); }

// What the server says, "SERVING" say.
absl::StatusOr<std::string> Ask(const HealthName& server) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return SystemError();
  const absl::Cleanup close_it = [fd] { close(fd); };
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kLongestWait, sizeof kLongestWait);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kLongestWait, sizeof kLongestWait);
  const Address address = AddressOf(server);
  if (connect(fd, Plain(address), address.size) != 0) return SystemError();
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return SystemError();
  if (geteuid() != 0 && peer.uid != geteuid()) {
    return absl::UnavailableError(absl::StrCat("it is user ", peer.uid, "'s, and this is user ", geteuid()));
  }
  char answer[32];
  const ssize_t got = recv(fd, answer, sizeof answer, MSG_WAITALL);
  if (got < 0) return errno == EAGAIN ? absl::UnavailableError("it says nothing for 2 s") : SystemError();
  return std::string(answer, static_cast<std::size_t>(got));
}

}  // namespace

absl::StatusOr<std::unique_ptr<HealthSocket>> HealthSocket::Open(absl::string_view host, int port,
                                                                 const Readiness* readiness) {
  const Address address = AddressOf({OwnMounts(), absl::StrCat(host, ":", port)});
  const int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listening < 0) return SystemError();
  if (bind(listening, Plain(address), address.size) == 0 && listen(listening, kBacklog) == 0) {
    if (const int stop = eventfd(0, EFD_CLOEXEC); stop >= 0) {
      return std::unique_ptr<HealthSocket>(new HealthSocket(listening, stop, readiness));
    }
  }
  const absl::Status why = SystemError();
  close(listening);
  return why;
}

HealthSocket::HealthSocket(int listening, int stop, const Readiness* readiness)
    : listening_(listening), stop_(stop), readiness_(readiness), thread_([this] { Run(); }) {}

HealthSocket::~HealthSocket() {
  eventfd_write(stop_, 1);
  thread_.join();
  close(stop_);
  close(listening_);
}

void HealthSocket::Run() {
  pthread_setname_np(pthread_self(), "heed-health");
  pollfd both[] = {{stop_, POLLIN, 0}, {listening_, POLLIN, 0}};
  bool room = true;
  for (;;) {
    poll(both, room ? 2 : 1, room ? -1 : kUntilThereIsRoomMs);
    if ((both[0].revents & POLLIN) != 0) return;
    const int fd = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    room = fd >= 0 || (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM);
    if (fd < 0) continue;
    // A new socket has room for a word, so this waits for nobody.
    const absl::string_view word = StateName(readiness_->state());
    send(fd, word.data(), word.size(), MSG_NOSIGNAL);
    close(fd);
  }
}

std::vector<HealthName> HealthNames(absl::string_view proc_net_unix) {
  std::vector<HealthName> names;
  for (const absl::string_view line : absl::StrSplit(proc_net_unix, '\n')) {
    // Num RefCount Protocol Flags Type St Inode Path; an abstract name is shown with "@" before it.
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (fields.size() != 8 || fields[3] != "00010000") continue;  // does not listen
    absl::string_view name = fields[7];
    if (!absl::ConsumePrefix(&name, "@") || !absl::ConsumePrefix(&name, kPrefix)) continue;
    const std::pair<std::string, std::string> parts = absl::StrSplit(name, absl::MaxSplits('/', 1));
    names.push_back({parts.first, parts.second});
  }
  return names;
}

absl::StatusOr<HealthName> ChooseServer(const std::vector<HealthName>& names, absl::string_view own_mounts,
                                        absl::string_view address, bool given) {
  std::vector<HealthName> own, same;
  for (const HealthName& name : names) {
    if (name.mounts == own_mounts) own.push_back(name);
    if (name.address != Cut(address)) continue;
    if (name.mounts == own_mounts) return name;
    same.push_back(name);
  }
  if (!same.empty()) return same.front();
  if (!given && own.size() == 1) return own.front();
  if (!given && own.size() > 1) {
    return absl::NotFoundError(absl::StrCat("no server is at --address ", address, " here, but ", own.size(),
                                            " at others; give its --address"));
  }
  return absl::NotFoundError(absl::StrCat("no server is at --address ", address, " here"));
}

int RunHealthCheck(const std::string& address, bool given) {
  const auto fail = [](absl::string_view why) {
    SayLast(absl::StrCat("heed-server: NOT_SERVING: ", why));
    return 1;
  };
  std::ifstream file("/proc/net/unix");
  const std::string sockets((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const absl::StatusOr<HealthName> server = ChooseServer(HealthNames(sockets), OwnMounts(), address, given);
  if (!server.ok()) return fail(server.status().message());
  const absl::StatusOr<std::string> answer = Ask(*server);
  if (!answer.ok()) return fail(absl::StrCat("the server at ", server->address, ": ", answer.status().message()));
  if (*answer != StateName(ServerState::kServing)) {
    return fail(absl::StrCat("the server at ", server->address, " says ", answer->empty() ? "nothing" : *answer));
  }
  std::puts("SERVING");
  return 0;
}

}  // namespace heed
