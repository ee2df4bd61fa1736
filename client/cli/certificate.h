// The outline of a model's parity certificate (its bundle's parity.json), for `heed models NAME`.
//
// Plain function, thread-safe.
#pragma once

#include <string>

namespace heed::cli {

// A few lines, each ending in a newline: who computed it (and with which toolkit), how many cases, the tolerances, and
// the largest errors measured when the bundle was made. One line that says so where there is none, or where it is not
// the JSON that it should be: the server passes it on unread.
std::string CertificateOutline(const std::string& parity_json);

}  // namespace heed::cli
