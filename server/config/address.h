// HOST:PORT, as flags give it. Strict, for what is let through here reaches libraries that read more into it: a list of
// ports, blanks, a letter that turns TLS on.
//
// Plain functions, thread-safe.
#pragma once

#include "absl/strings/string_view.h"

namespace heed {

// A host name or IPv4 address of letters, digits, ".", "-" and "_", or an IPv6 address in brackets (a zone after "%" is
// let through); then ":" and a port of one to five digits, 0 to 65535. Whether the host exists is found out by who
// listens there.
bool IsHostPort(absl::string_view address);

}  // namespace heed
