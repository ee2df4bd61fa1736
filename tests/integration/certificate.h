// A certificate for tests of TLS.
//
// Plain function.
#pragma once

#include <string>

namespace heed {

// Writes a fresh P-256 key and a certificate for localhost and 127.0.0.1 that it signed itself, good for an hour, as
// PEM files. Aborts the test if it cannot.
void WriteSelfSignedCertificate(const std::string& certificate_file, const std::string& key_file);

}  // namespace heed
