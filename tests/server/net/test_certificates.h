// Certificates for tests of TLS: fresh P-256 keys, good for an hour.
//
// Plain functions; they abort the test where OpenSSL gives nothing.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace heed {

struct TestCertificate {
  std::shared_ptr<X509> certificate;
  std::shared_ptr<EVP_PKEY> key;
};

// `alt_names` as OpenSSL's configuration has them, "DNS:host,URI:spiffe://a/b"; empty: none. `issuer` null: signed by
// itself.
TestCertificate MakeTestCertificate(const std::string& common_name, const std::string& alt_names,
                                    const TestCertificate* issuer = nullptr);
// As PEM files; an empty name: not written.
void WriteTestCertificate(const TestCertificate& made, const std::string& certificate_file,
                          const std::string& key_file);

}  // namespace heed
