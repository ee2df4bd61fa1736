#include "client/cli/connection.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace heed::cli {
namespace {

constexpr absl::Duration kAskTime = absl::Seconds(5);

absl::Status ReadFile(const std::string& flag, const std::string& path, std::string* contents) {
  if (path.empty()) return absl::OkStatus();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream read;
  if (!file || !(read << file.rdbuf())) {
    return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", path, " cannot be read, or is empty"));
  }
  *contents = read.str();
  return absl::OkStatus();
}

}  // namespace

FlagGroup ConnectionFlags(ConnectionOptions* options) {
  FlagGroup group = {
      "Connection",
      {StringFlag("address", "HOST:PORT", "the server (default 127.0.0.1:8500)", &options->client.address),
       DurationFlag("timeout",
                    absl::StrCat("of each request, retries included (default ", absl::FormatDuration(options->timeout),
                                 "); a plain number is seconds"),
                    &options->timeout),
       IntFlag(
           "retries",
           absl::StrCat("times to try again when the server is unavailable, or full and says when\n"
                        "to return (default ",
                        options->retries, ")"),
           [options](std::int64_t value) { options->retries = value; }, 0, 1000),
       BoolFlag("tls", "encrypt, trusting the machine's roots", &options->client.tls),
       StringFlag("tls_ca", "FILE", "encrypt, trusting these PEM certificates", &options->tls_ca_file),
       StringFlag("tls_certificate", "FILE", "PEM certificate to show to the server", &options->tls_certificate_file),
       StringFlag("tls_key", "FILE", "its PEM key", &options->tls_key_file),
       StringFlag("tls_server_name", "NAME", "name that the server's certificate must carry (default: its host)",
                  &options->client.tls_server_name)}};
  // The server has a HEED_TLS_KEY of its own.
  const std::map<std::string, std::string> other = {{"tls_certificate", "HEED_TLS_CLIENT_CERTIFICATE"},
                                                    {"tls_key", "HEED_TLS_CLIENT_KEY"}};
  for (Flag& flag : group.flags) {
    const auto found = other.find(flag.name);
    flag.variable = found != other.end() ? found->second : "HEED_" + absl::AsciiStrToUpper(flag.name);
  }
  return group;
}

ClientOptions WithTls(const ConnectionOptions& options) {
  ClientOptions client = options.client;
  client.tls = client.tls || !options.tls_ca_file.empty() || !options.tls_certificate_file.empty();
  return client;
}

absl::StatusOr<ClientOptions> ClientOptionsOf(const ConnectionOptions& options) {
  ClientOptions client = WithTls(options);
  client.retry.max_attempts = static_cast<int>(options.retries) + 1;
  for (const absl::Status& status : {ReadFile("tls_ca", options.tls_ca_file, &client.tls_roots),
                                     ReadFile("tls_certificate", options.tls_certificate_file, &client.tls_certificate),
                                     ReadFile("tls_key", options.tls_key_file, &client.tls_key)}) {
    if (!status.ok()) return status;
  }
  return client;
}

absl::StatusOr<std::unique_ptr<Client>> Connect(const ConnectionOptions& options) {
  const auto client = ClientOptionsOf(options);
  if (!client.ok()) return client.status();
  return Client::Make(*client);
}

absl::StatusOr<v1::GetModelResponse> AskModel(Client* client, const v1::ModelIdentity& model,
                                              const ConnectionOptions& options) {
  v1::GetModelRequest request;
  request.set_name(model.name());
  request.set_version(model.version());
  return client->GetModel(request, absl::Now() + std::min(options.timeout, kAskTime));
}

}  // namespace heed::cli
