// Transport security from PEM files: read and checked at start-up, so that a mistake in them is one line and not a
// server that nobody can connect to.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "absl/status/statusor.h"
#include "server/config/options.h"

namespace heed {

// Plain text where no certificate is given. INVALID_ARGUMENT: a file that cannot be read or is not what its flag says.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(const TlsOptions& tls);

}  // namespace heed
