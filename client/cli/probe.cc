#include "client/cli/probe.h"

#include <netdb.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

namespace heed::cli {
namespace {

// An HTTP/2 client's first bytes: the preface and empty SETTINGS.
constexpr absl::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);

// A TLS client's first bytes.
std::string ClientHello() {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(context ? SSL_new(context.get()) : nullptr, SSL_free);
  if (ssl == nullptr) return "";
  static constexpr unsigned char kProtocols[] = {2, 'h', '2'};
  SSL_set_alpn_protos(ssl.get(), kProtocols, sizeof kProtocols);
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);  // which takes both
  SSL_connect(ssl.get());                             // says what it has to, and finds no answer
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  return {bytes, static_cast<std::size_t>(size > 0 ? size : 0)};
}

bool Wait(int fd, short events, absl::Time until) {
  pollfd wanted = {fd, events, 0};
  const int left = static_cast<int>(absl::ToInt64Milliseconds(until - absl::Now()));
  return left > 0 && poll(&wanted, 1, left) == 1;
}

int Connected(const addrinfo& where, absl::Time until) {
  const int fd = socket(where.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int error = connect(fd, where.ai_addr, where.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS && Wait(fd, POLLOUT, until)) {
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (error == 0) return fd;
  close(fd);
  return -1;
}

// What comes back of `words` within the time: as many bytes as tell protocols apart.
std::string Answer(const addrinfo* found, const std::string& words, absl::Time until) {
  constexpr std::size_t kTelling = 9;  // an HTTP/2 frame's head
  std::string answer;
  for (; found != nullptr && answer.empty(); found = found->ai_next) {
    const int fd = Connected(*found, until);
    if (fd < 0) continue;
    const absl::Cleanup close_it = [fd] { close(fd); };
    if (send(fd, words.data(), words.size(), MSG_NOSIGNAL) < 0) continue;
    char bytes[64];
    while (answer.size() < kTelling && Wait(fd, POLLIN, until)) {
      const ssize_t got = recv(fd, bytes, sizeof bytes, 0);
      if (got <= 0) break;
      answer.append(bytes, static_cast<std::size_t>(got));
    }
  }
  return answer;
}

Speaks SpokenIn(const std::string& answer) {
  if (absl::StartsWith(answer, "HTTP/1.")) return Speaks::kHttp1;
  // A record of TLS: a handshake or an alert, of version 3.x.
  if (answer.size() >= 3 && (answer[0] == 0x16 || answer[0] == 0x15) && answer[1] == 3) return Speaks::kTls;
  // A frame, SETTINGS or GOAWAY, of no stream.
  if (answer.size() >= 9 && (answer[3] == 4 || answer[3] == 7) && answer.substr(5, 4) == std::string(4, '\0')) {
    return Speaks::kHttp2;
  }
  return Speaks::kNothing;
}

}  // namespace

Speaks Probe(const std::string& address, bool tls, absl::Duration most) {
  absl::string_view rest = address;
  absl::ConsumePrefix(&rest, "dns:///");
  const std::size_t colon = rest.rfind(':');
  if (colon == absl::string_view::npos) return Speaks::kNothing;
  absl::string_view host = rest.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(std::string(host).c_str(), std::string(rest.substr(colon + 1)).c_str(), &hints, &found) != 0) {
    return Speaks::kNothing;
  }
  const absl::Cleanup free_them = [found] { freeaddrinfo(found); };
  for (const bool encrypt : {tls, !tls}) {
    const std::string answer = Answer(found, encrypt ? ClientHello() : std::string(kPreface), absl::Now() + most);
    if (const Speaks speaks = SpokenIn(answer); speaks != Speaks::kNothing) return speaks;
  }
  return Speaks::kNothing;
}

}  // namespace heed::cli
