#include "tests/server/net/test_certificates.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>

namespace heed {
namespace {

void Check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "certificate for a test: %s failed\n", what);
  std::abort();
}

void AddExtension(X509* certificate, int id, const char* value) {
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, nullptr, id, value), &X509_EXTENSION_free);
  Check(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1, value);
}

template <typename Write>
void WriteFile(const std::string& name, const Write& write) {
  if (name.empty()) return;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(name.c_str(), "w"), &std::fclose);
  Check(file != nullptr && write(file.get()) == 1, name.c_str());
}

}  // namespace

TestCertificate MakeTestCertificate(const std::string& common_name, const std::string& alt_names,
                                    const TestCertificate* issuer) {
  static long serial = 0;
  TestCertificate made = {{X509_new(), X509_free}, {EVP_EC_gen("P-256"), EVP_PKEY_free}};
  X509* const certificate = made.certificate.get();
  Check(certificate != nullptr && made.key != nullptr, "making a key");
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, made.key.get());
  X509_NAME* const name = X509_get_subject_name(certificate);
  if (!common_name.empty()) {
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common_name.c_str()),
                               -1, -1, 0);
  }
  X509_set_issuer_name(certificate, issuer == nullptr ? name : X509_get_subject_name(issuer->certificate.get()));
  AddExtension(certificate, NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!alt_names.empty()) AddExtension(certificate, NID_subject_alt_name, alt_names.c_str());
  Check(X509_sign(certificate, (issuer == nullptr ? made : *issuer).key.get(), EVP_sha256()) > 0, "signing");
  return made;
}

void WriteTestCertificate(const TestCertificate& made, const std::string& certificate_file,
                          const std::string& key_file) {
  WriteFile(certificate_file, [&](std::FILE* file) { return PEM_write_X509(file, made.certificate.get()); });
  WriteFile(key_file, [&](std::FILE* file) {
    return PEM_write_PrivateKey(file, made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

}  // namespace heed
