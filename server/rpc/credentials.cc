#include "server/rpc/credentials.h"

#include <grpcpp/grpcpp.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace heed {
namespace {

template <typename T, void (*kFree)(T*)>
struct Freer {
  void operator()(T* object) const { kFree(object); }
};
using Bio = std::unique_ptr<BIO, Freer<BIO, BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freer<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;

absl::Status FlagError(const char* flag, const std::string& path, const std::string& must) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, " is ", path, "; it must be ", must));
}

absl::StatusOr<std::string> ReadPem(const char* flag, const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.is_open() || text.find("-----BEGIN") == std::string::npos) {
    return FlagError(flag, path, "a readable PEM file");
  }
  return text;
}

Bio Reader(const std::string& text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

Certificate ReadCertificate(const std::string& pem) {
  return Certificate(PEM_read_bio_X509(Reader(pem).get(), nullptr, nullptr, nullptr));
}

Key ReadKey(const std::string& pem) {
  // A key that needs a password is not read: nobody is asked.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  return Key(PEM_read_bio_PrivateKey(Reader(pem).get(), nullptr, no_password, nullptr));
}

absl::Status Check(const TlsOptions& tls, const grpc::SslServerCredentialsOptions& options) {
  const auto& pair = options.pem_key_cert_pairs.front();
  const Certificate certificate = ReadCertificate(pair.cert_chain);
  if (certificate == nullptr) return FlagError("tls_cert", tls.cert, "a PEM certificate");
  const Key key = ReadKey(pair.private_key);
  if (key == nullptr) return FlagError("tls_key", tls.key, "a PEM private key without a password");
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return FlagError("tls_key", tls.key, absl::StrCat("the private key of --tls_cert ", tls.cert));
  }
  if (!tls.client_ca.empty() && ReadCertificate(options.pem_root_certs) == nullptr) {
    return FlagError("tls_client_ca", tls.client_ca, "a PEM certificate");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(const TlsOptions& tls) {
  if (tls.cert.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options;
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  HEED_ASSIGN_OR_RETURN(pair.cert_chain, ReadPem("tls_cert", tls.cert));
  HEED_ASSIGN_OR_RETURN(pair.private_key, ReadPem("tls_key", tls.key));
  HEED_ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem("tls_client_ca", tls.client_ca));
  options.pem_key_cert_pairs.push_back(std::move(pair));
  HEED_RETURN_IF_ERROR(Check(tls, options));
  if (!tls.client_ca.empty()) {
    options.client_certificate_request = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  return grpc::SslServerCredentials(options);
}

}  // namespace heed
