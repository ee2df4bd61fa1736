// The flags that say which server to talk to and how, shared by every subcommand.
//
// Plain values and functions; not thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/flags.h"
#include "client/client.h"
#include "heed/v1/model.pb.h"
#include "heed/v1/text.pb.h"

namespace heed::cli {

struct ConnectionOptions {
  ClientOptions client;
  absl::Duration timeout = absl::Seconds(60);  // of each RPC, its retries included
  std::int64_t retries = 4;                    // after the first attempt
  std::string tls_ca_file;
  std::string tls_certificate_file;
  std::string tls_key_file;
};

// Each has a variable, HEED_ADDRESS for --address, so that a container's health check can be told all of it. The
// server's own variables may stand in the same environment: --tls_certificate and --tls_key have names that it does not
// read.
FlagGroup ConnectionFlags(ConnectionOptions* options);

// The client's options with TLS on where a flag asks for it; no file is read.
ClientOptions WithTls(const ConnectionOptions& options);

// The library's options: flags together, TLS files read. INVALID_ARGUMENT for a file that cannot be.
absl::StatusOr<ClientOptions> ClientOptionsOf(const ConnectionOptions& options);

// INVALID_ARGUMENT for options that make no sense, or a TLS file that cannot be read.
absl::StatusOr<std::unique_ptr<Client>> Connect(const ConnectionOptions& options);

// What the server says of the model that answered, for a note beside the answer, and so within a few seconds.
absl::StatusOr<v1::GetModelResponse> AskModel(Client* client, const v1::ModelIdentity& model,
                                              const ConnectionOptions& options);

}  // namespace heed::cli
