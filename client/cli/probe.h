// What answers at an address where gRPC could not be spoken, so that an error says what to change.
//
// Plain function, thread-safe.
#pragma once

#include <string>

#include "absl/time/time.h"

namespace heed::cli {

enum class Speaks {
  kNothing,  // nobody is there, or it says nothing that is known; also of targets that are not HOST:PORT
  kTls,
  kHttp2,  // in the clear
  kHttp1,  // in the clear
};

// Connects to "HOST:PORT" or "dns:///HOST:PORT" and listens to what it answers, first when spoken to as before (`tls`),
// which leaves no fault at a server that is merely busy, then the other way. Takes at most `most` for each, and what
// resolving the name takes.
Speaks Probe(const std::string& address, bool tls, absl::Duration most);

}  // namespace heed::cli
