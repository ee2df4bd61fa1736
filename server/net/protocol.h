// What a connection speaks: bytes in, bytes out, and until when it waits. A protocol knows no sockets, no TLS and no
// clock of its own, so tests and fuzzers drive it with plain strings; connection.h puts it on a socket.
//
// Not thread-safe: all of it happens on the thread of the connection's event loop.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace heed {

// Who is at the other end.
struct Peer {
  std::string address;   // "192.0.2.1" or "2001:db8::1"; empty: not an Internet address
  int port = 0;          // 0: none
  std::string identity;  // of a client certificate that was verified: its first URI, DNS name or e-mail address of the
                         // subject alternative names, else the common name; empty: there was none
  bool tls = false;
};

// What a protocol may ask of its connection. It outlives the protocol.
class Wire {
 public:
  virtual ~Wire() = default;
  // Produce has something to say although nothing came in. Also from within the protocol's own functions.
  virtual void Flush() = 0;
  // OnTime is to be called at `time`, once; replaces the time asked for before. InfiniteFuture: never.
  virtual void WakeAt(absl::Time time) = 0;
  virtual const Peer& peer() const = 0;
};

class Protocol {
 public:
  virtual ~Protocol() = default;

  // Takes bytes of the peer, all of them, in order.
  virtual void Receive(absl::string_view bytes) = 0;
  // Appends what is to be sent next: about `room` bytes at most, nothing when there is nothing to say. Called again
  // when those have been taken.
  virtual void Produce(std::size_t room, std::string* out) = 0;
  // More bytes are welcome. While not, the connection reads nothing, so that the peer waits.
  virtual bool Reads() const = 0;
  // The protocol is at its end: the connection closes once what Produce still gives has been sent.
  virtual bool Done() const = 0;
  // Why it is done, for counting: a short constant such as "header_time"; empty where nothing is wrong.
  virtual absl::string_view fault() const = 0;
  // The time asked of the wire has come.
  virtual void OnTime(absl::Time now) = 0;
  // The peer sends no more. What was asked may still be answered.
  virtual void OnEnd() = 0;
};

}  // namespace heed
