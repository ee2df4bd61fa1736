#include "server/net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/status_macros.h"

namespace heed {
namespace {

constexpr absl::Duration kLookEvery = absl::Seconds(1);

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
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.is_open() || text.find("-----BEGIN") == std::string::npos) {
    return FlagError(flag, path, "a readable PEM file");
  }
  return text;
}

Bio Reader(const std::string& text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// The first certificate, then those that follow it.
bool UseChain(const std::string& pem, SSL_CTX* context) {
  const Bio bio = Reader(pem);
  const Certificate first(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (first == nullptr || SSL_CTX_use_certificate(context, first.get()) != 1) return false;
  while (X509* more = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context, more) != 1) {
      X509_free(more);
      return false;
    }
  }
  ERR_clear_error();  // the end of the file is one
  return true;
}

Key ReadKey(const std::string& pem) {
  // A key that needs a password is not read: nobody is asked.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  return Key(PEM_read_bio_PrivateKey(Reader(pem).get(), nullptr, no_password, nullptr));
}

bool TrustClients(const std::string& pem, SSL_CTX* context) {
  const Bio bio = Reader(pem);
  int count = 0;
  while (X509* read = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    const Certificate certificate(read);
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), read) != 1 || SSL_CTX_add_client_CA(context, read) != 1) {
      return false;
    }
    ++count;
  }
  ERR_clear_error();
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return count > 0;
}

// Agrees on the protocol that `wanted` names; a client that asks for others alone is sent away.
int ChooseProtocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                   unsigned int in_size, void* wanted) {
  const std::string& name = *static_cast<const std::string*>(wanted);
  for (unsigned int at = 0; at < in_size; at += 1U + in[at]) {
    const absl::string_view offered(reinterpret_cast<const char*>(in) + at + 1, in[at]);
    if (at + 1 + in[at] > in_size) break;
    if (offered != name) continue;
    *out = in + at + 1;
    *out_size = in[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsContext>> TlsContext::Read(const TlsFiles& files, const std::string& protocol,
                                                             std::function<void(const absl::Status&)> told) {
  std::unique_ptr<TlsContext> tls(new TlsContext(files, protocol, std::move(told)));
  absl::MutexLock lock(&tls->mu_);
  tls->stamp_ = tls->Stamp();
  HEED_ASSIGN_OR_RETURN(tls->context_, tls->Make());
  tls->looked_ = Clock::Real()->Now();
  return tls;
}

absl::StatusOr<TlsContext::Context> TlsContext::Make() const {
  HEED_ASSIGN_OR_RETURN(const std::string chain, ReadPem("tls_cert", files_.cert));
  HEED_ASSIGN_OR_RETURN(const std::string key_pem, ReadPem("tls_key", files_.key));
  Context context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (context == nullptr) return absl::ResourceExhaustedError("OpenSSL gives no context");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  // No cache: what a client that resumes needs is in its ticket.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>("heed"), 4);
  SSL_CTX_set_alpn_select_cb(context.get(), ChooseProtocol, const_cast<std::string*>(&protocol_));
  if (!UseChain(chain, context.get())) return FlagError("tls_cert", files_.cert, "a PEM certificate");
  const Key key = ReadKey(key_pem);
  if (key == nullptr) return FlagError("tls_key", files_.key, "a PEM private key without a password");
  if (SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1 || SSL_CTX_check_private_key(context.get()) != 1) {
    ERR_clear_error();
    return FlagError("tls_key", files_.key, absl::StrCat("the private key of --tls_cert ", files_.cert));
  }
  if (!files_.client_ca.empty()) {
    HEED_ASSIGN_OR_RETURN(const std::string roots, ReadPem("tls_client_ca", files_.client_ca));
    if (!TrustClients(roots, context.get())) return FlagError("tls_client_ca", files_.client_ca, "a PEM certificate");
  }
  return context;
}

std::string TlsContext::Stamp() const {
  std::string stamp;
  for (const std::string* path : std::array{&files_.cert, &files_.key, &files_.client_ca}) {
    struct stat info = {};
    if (!path->empty() && stat(path->c_str(), &info) == 0) {
      absl::StrAppend(&stamp, info.st_dev, ":", info.st_ino, ":", info.st_size, ":", info.st_mtim.tv_sec, ".",
                      info.st_mtim.tv_nsec, " ");
    } else {
      absl::StrAppend(&stamp, "- ");
    }
  }
  return stamp;
}

void TlsContext::ReadAgain() {
  stamp_ = Stamp();
  absl::StatusOr<Context> made = Make();
  if (made.ok()) context_ = *made;
  told_(made.status());
}

std::shared_ptr<SSL_CTX> TlsContext::Current() {
  absl::MutexLock lock(&mu_);
  const absl::Time now = Clock::Real()->Now();
  if (now >= looked_ + kLookEvery) {
    looked_ = now;
    if (Stamp() != stamp_) ReadAgain();
  }
  return context_;
}

void TlsContext::Reload() {
  absl::MutexLock lock(&mu_);
  ReadAgain();
}

std::string IdentityOf(X509* certificate) {
  std::string identity;
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int wanted : {GEN_URI, GEN_DNS, GEN_EMAIL}) {
    for (int i = 0; names != nullptr && identity.empty() && i < sk_GENERAL_NAME_num(names); ++i) {
      int type = 0;
      const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
      if (type != wanted) continue;
      const auto* text = static_cast<const ASN1_IA5STRING*>(value);
      identity.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<std::size_t>(ASN1_STRING_length(text)));
    }
  }
  GENERAL_NAMES_free(names);
  if (!identity.empty()) return identity;
  X509_NAME* const subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return identity;
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size > 0) identity.assign(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return identity;
}

}  // namespace heed
