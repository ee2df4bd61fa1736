// Transport security from PEM files: read and checked at start-up, so that a mistake in them is one line and not a
// server that nobody can connect to, and read again when they change, so that a new certificate needs no restart.
//
// Thread-safe.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace heed {

struct TlsFiles {
  std::string cert;       // PEM: the server's certificate chain
  std::string key;        // PEM: its private key
  std::string client_ca;  // PEM: clients must show a certificate that it signed; empty: they need none
};

class TlsContext {
 public:
  // `protocol` is what ALPN must agree on, "h2" or "http/1.1". `told` hears of each reload: OK, or why the files that
  // changed are not taken (those read before stay). INVALID_ARGUMENT: a file that cannot be read or is not what its
  // flag says.
  static absl::StatusOr<std::unique_ptr<TlsContext>> Read(const TlsFiles& files, const std::string& protocol,
                                                          std::function<void(const absl::Status&)> told);

  // For a connection that begins: with the newest certificate, if its files were looked at within the last second.
  std::shared_ptr<SSL_CTX> Current();
  // Reads the files again, changed or not.
  void Reload();

 private:
  using Context = std::shared_ptr<SSL_CTX>;
  TlsContext(const TlsFiles& files, const std::string& protocol, std::function<void(const absl::Status&)> told)
      : files_(files), protocol_(protocol), told_(std::move(told)) {}
  absl::StatusOr<Context> Make() const;
  // Of the files: changes when one of them does.
  std::string Stamp() const;
  void ReadAgain() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const TlsFiles files_;
  const std::string protocol_;
  const std::function<void(const absl::Status&)> told_;
  absl::Mutex mu_;
  Context context_ ABSL_GUARDED_BY(mu_);
  std::string stamp_ ABSL_GUARDED_BY(mu_);
  absl::Time looked_ ABSL_GUARDED_BY(mu_);
};

// Whom a verified certificate names: the first URI, DNS name or e-mail address of its subject alternative names, else
// its common name; empty where there is none.
std::string IdentityOf(X509* certificate);

}  // namespace heed
